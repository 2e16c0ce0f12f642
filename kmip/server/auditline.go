package server

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"time"
	"unicode/utf8"

	"strongroom/kmip"
)

// An Event is what one line of the audit log says. It has no secret.
type Event struct {
	Time             time.Time
	Request          uint64 // number of the message since the server started
	Identity         string
	Fingerprint      string // SHA-256 of the client's certificate, hex
	Operation        kmip.Operation
	UniqueIdentifier string // also names the slot, of an HSM key
	Result           kmip.ResultStatus
	Reason           kmip.ResultReason // 0 for success
	Duration         time.Duration
}

// auditTime is RFC 3339 in microseconds, UTC.
const auditTime = "2006-01-02T15:04:05.000000Z07:00"

// append appends the event's line.
func (e *Event) append(b []byte) []byte {
	b = append(b, `{"time":"`...)
	b = e.Time.UTC().AppendFormat(b, auditTime)
	b = append(b, `","request":`...)
	b = strconv.AppendUint(b, e.Request, 10)
	b = append(b, `,"identity":`...)
	b = appendJSON(b, e.Identity)
	b = append(b, `,"certificate":`...)
	b = appendJSON(b, e.Fingerprint)
	b = append(b, `,"operation":`...)
	b = appendJSON(b, e.Operation.String())
	if e.UniqueIdentifier != "" {
		b = append(b, `,"uid":`...)
		b = appendJSON(b, e.UniqueIdentifier)
		if slot, _, ok, err := kmip.HSMKey(e.UniqueIdentifier); ok && err == nil {
			b = append(b, `,"slot":`...)
			b = strconv.AppendUint(b, uint64(slot), 10)
		}
	}
	b = append(b, `,"result":`...)
	b = appendJSON(b, e.Result.String())
	if e.Reason != 0 {
		b = append(b, `,"reason":`...)
		b = appendJSON(b, e.Reason.String())
	}
	b = append(b, `,"us":`...)
	b = strconv.AppendInt(b, e.Duration.Microseconds(), 10)
	return append(b, "}\n"...)
}

// appendJSON appends s as a JSON string; what is not UTF-8 becomes U+FFFD.
func appendJSON(b []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < 0x20 || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			quoted, err := json.Marshal(s)
			if err != nil {
				panic(err) // a string always has a JSON form
			}
			return append(b, quoted...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

// VerifyAudit follows the chain of an audit log and gives the number of its lines. The error names the first line that does
// not belong.
func VerifyAudit(r io.Reader) (lines int, err error) {
	var chain [sha256.Size]byte
	scan := bufio.NewScanner(r)
	scan.Buffer(make([]byte, 64<<10), 1<<20)
	for scan.Scan() {
		body, want, err := splitChain(scan.Bytes())
		if err != nil {
			return lines, fmt.Errorf("line %d: %w", lines+1, err)
		}
		if lines == 0 {
			if chain, err = continues(body); err != nil {
				return 0, fmt.Errorf("line 1: %w", err)
			}
		}
		if chain = sha256.Sum256(append(chain[:], body...)); chain != want {
			return lines, fmt.Errorf("line %d does not follow from the one before: it, or one before it, was changed, moved or taken out", lines+1)
		}
		lines++
	}
	if err := scan.Err(); err != nil {
		return lines, fmt.Errorf("line %d: %w", lines+1, err)
	}
	return lines, nil
}

// continues is the chain that the first line of a log says it continues.
func continues(body []byte) (chain [sha256.Size]byte, err error) {
	var first struct{ Event, Continues string }
	if err := json.NewDecoder(bytes.NewReader(body)).Decode(&first); err != nil || first.Event != "opened" {
		return chain, fmt.Errorf("it is not the first line of an audit log")
	}
	if n, err := hex.Decode(chain[:], []byte(first.Continues)); err != nil || n != len(chain) {
		return chain, fmt.Errorf("it does not say which chain it continues")
	}
	return chain, nil
}
