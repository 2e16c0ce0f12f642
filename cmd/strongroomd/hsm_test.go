package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Columns stay where they are behind labels that are wider, or narrower, than they have characters.
func TestColumns(t *testing.T) {
	require.Equal(t, ""+
		"SLOT  LABEL         STATE\n"+
		"4     Schlüssel 鍵  ready\n"+
		"-     u\u0308ber\n"+
		"5     plain         ready\n",
		columns([][]string{{"SLOT", "LABEL", "STATE"}, {"4", "Schlüssel 鍵", "ready"}, {"-", "u\u0308ber", ""}, {"5", "plain", "ready"}}))
}
