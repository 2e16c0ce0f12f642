package server

import (
	"encoding/hex"
	"strconv"
	"time"
	"unicode/utf8"

	"strongroom/kmip"
)

// auditClip is the most of an identifier or identity that a line tells, in bytes: a client may send one of megabytes.
const auditClip = 1024

// An Event is one decision, as its audit line tells it. No field of it can hold a secret.
type Event struct {
	Time             time.Time
	Request          uint64 // number of the message; the items of a batch share it
	Identity         string
	For              string // the identity that the other one acted for, with a ticket of it; else empty
	Fingerprint      string // SHA-256 of the client's certificate, in hexadecimal
	Operation        kmip.Operation
	UniqueIdentifier string // may be empty
	Correlation      string // the Client Correlation Value of the message; may be empty
	Result           kmip.ResultStatus
	Reason           kmip.ResultReason // 0 on success
	Duration         time.Duration
}

// An auditPen remembers how the parts of a line look that the next one of a connection mostly has again: the time of a
// message, and who sent it.
type auditPen struct {
	time                  time.Time
	identity, fingerprint string
	acting                string // for whom
	begin, who            []byte
}

// append adds the line of e without hash and closing brace. The slot is told of identifiers that name an HSM key.
func (p *auditPen) append(b []byte, e *Event) []byte {
	if p.begin == nil || p.time != e.Time {
		p.time = e.Time
		p.begin = append(appendTime(append(p.begin[:0], `{"time":"`...), e.Time), `","request":`...)
	}
	if p.who == nil || p.identity != e.Identity || p.fingerprint != e.Fingerprint || p.acting != e.For {
		p.identity, p.fingerprint, p.acting = e.Identity, e.Fingerprint, e.For
		p.who = appendJSON(append(p.who[:0], `,"identity":`...), e.Identity)
		if e.For != "" {
			p.who = appendJSON(append(p.who, `,"for":`...), e.For)
		}
		p.who = appendJSON(append(p.who, `,"fingerprint":`...), e.Fingerprint)
		p.who = append(p.who, `,"operation":"`...)
	}
	b = append(b, p.begin...)
	b = strconv.AppendUint(b, e.Request, 10)
	b = append(b, p.who...)
	b = append(b, e.Operation.String()...)
	b = append(b, '"')
	if e.UniqueIdentifier != "" {
		b = append(b, `,"uid":`...)
		b = appendJSON(b, e.UniqueIdentifier)
		if slot, _, hsm, err := kmip.HSMKey(e.UniqueIdentifier); hsm && err == nil {
			b = append(b, `,"slot":`...)
			b = strconv.AppendUint(b, uint64(slot), 10)
		}
	}
	if e.Correlation != "" {
		b = appendJSON(append(b, `,"client_correlation":`...), e.Correlation)
	}
	b = append(b, `,"result":"`...)
	b = append(b, e.Result.String()...)
	b = append(b, '"')
	if e.Reason != 0 {
		b = append(b, `,"reason":"`...)
		b = append(b, e.Reason.String()...)
		b = append(b, '"')
	}
	b = append(b, `,"duration_us":`...)
	return strconv.AppendInt(b, e.Duration.Microseconds(), 10)
}

// appendTime adds t as RFC 3339 in UTC, always with six digits of the second, so that times sort as text. The layout is
// that of time.RFC3339, which is formatted faster than any other.
func appendTime(b []byte, t time.Time) []byte {
	b = t.UTC().AppendFormat(b, time.RFC3339)
	b[len(b)-1] = '.' // in place of Z
	us := t.Nanosecond() / 1000
	for digit := 100_000; digit > 0; digit /= 10 {
		b = append(b, byte('0'+us/digit%10))
	}
	return append(b, 'Z')
}

// auditOpened begins the line that tells that a file was opened. Every file begins with one.
const auditOpened = `{"event":"audit opened","previous":"`

// appendOpened adds that line, without hash and closing brace: the hash it follows, and what of a torn line was found.
func appendOpened(b []byte, now time.Time, previous *[32]byte, torn []byte) []byte {
	b = append(b, auditOpened...)
	b = hex.AppendEncode(b, previous[:])
	b = append(b, `","time":"`...)
	b = appendTime(b, now)
	b = append(b, '"')
	if len(torn) > 0 {
		b = append(b, `,"torn_bytes":`...)
		b = strconv.AppendInt(b, int64(len(torn)), 10)
		b = append(b, `,"torn":`...)
		b = appendJSON(b, string(torn[:min(len(torn), 2*auditClip)]))
	}
	return b
}

// appendJSON adds s as a JSON string (RFC 8259 §7), clipped. What is not UTF-8 becomes U+FFFD. Characters that end a line
// or do not show are escaped, so that a line is a line in every reader.
func appendJSON(b []byte, s string) []byte {
	clipped := len(s) > auditClip
	if clipped {
		n := auditClip
		for n > auditClip-utf8.UTFMax && !utf8.RuneStart(s[n]) {
			n--
		}
		s = s[:n]
	}
	b = append(b, '"')
	from := 0
	for i := 0; i < len(s); {
		c, size := rune(s[i]), 1
		if jsonPlain(s[i]) {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			if c, size = utf8.DecodeRuneInString(s[i:]); jsonShows(c, size) {
				i += size
				continue
			}
		}
		b = append(b, s[from:i]...)
		b = appendEscape(b, c)
		i += size
		from = i
	}
	b = append(b, s[from:]...)
	if clipped {
		b = append(b, "…"...)
	}
	return append(b, '"')
}

// jsonPlain says that a byte stands for itself in a JSON string.
func jsonPlain(c byte) bool { return c >= ' ' && c < 0x7F && c != '"' && c != '\\' }

// jsonShows says that a character beyond ASCII may stand as it is: not an error of encoding, not a control character of
// Latin-1, not a separator of lines or a change of direction.
func jsonShows(c rune, size int) bool {
	return !(c == utf8.RuneError && size == 1) && c >= 0xA0 &&
		!(c >= 0x200B && c <= 0x200F) && !(c >= 0x2028 && c <= 0x202E) && !(c >= 0x2066 && c <= 0x2069) && c != 0xFEFF
}

func appendEscape(b []byte, c rune) []byte {
	if c == '"' || c == '\\' {
		return append(b, '\\', byte(c))
	}
	const digits = "0123456789abcdef"
	return append(b, '\\', 'u', digits[c>>12&15], digits[c>>8&15], digits[c>>4&15], digits[c&15])
}

// An Act is what an operator did, or what the server did by itself with what protects its keys, as its audit line tells it. No
// field of it can hold a secret.
type Act struct {
	Name   string // as in "seal switch"
	By     string // who asked for it: "uid 0", or "server"
	Detail string // may be empty
	Err    error  // nil on success
}

func (a *Act) append(b []byte, now time.Time) []byte {
	b = append(b, `{"time":"`...)
	b = appendTime(b, now)
	b = appendJSON(append(b, `","event":`...), a.Name)
	b = appendJSON(append(b, `,"by":`...), a.By)
	if a.Detail != "" {
		b = appendJSON(append(b, `,"detail":`...), a.Detail)
	}
	if a.Err != nil {
		return appendJSON(append(b, `,"result":"failed","reason":`...), a.Err.Error())
	}
	return append(b, `,"result":"Success"`...)
}
