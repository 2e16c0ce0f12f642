//go:build !linux

package file

import "os"

// mapped maps nothing on this system: the caller reads instead.
func mapped(*os.File, int64, int, func([]byte) error) (ok bool, err error) { return false, nil }
