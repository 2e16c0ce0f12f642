package server

import (
	"errors"
	"io"
	"math"
	"mime"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// httpPath is where messages are posted to. KMIP over HTTPS is of the KMIP Profiles (HTTPS Server): the body of a request is a
// message, that of its answer another, in the same encoding. What is wrong with a message is answered in KMIP; what is wrong
// with the request around it, in HTTP.
const httpPath = "/kmip"

// An encoding is how messages are written in a body. Without read and write it is TTLV as it stands.
type encoding struct {
	mediaType string
	read      func([]byte, *ttlv.Limits) (ttlv.Node, error)
	write     func(ttlv.Node) ([]byte, error)
}

// encodings are those of a body. The profiles say text/xml; the other name for it is taken too.
var encodings = []encoding{
	{"application/octet-stream", nil, nil},
	{"application/json", ttlv.ParseJSON, ttlv.Node.JSON},
	{"text/xml", ttlv.ParseXML, ttlv.Node.XML},
	{"application/xml", ttlv.ParseXML, ttlv.Node.XML},
}

// mediaTypes are their names, for a client that sends another.
const mediaTypes = "application/octet-stream, application/json, text/xml"

// An httpError is the answer to a request that brings no message.
type httpError struct {
	status      int
	text        string
	name, value string // one more header, where it has a name
	end         bool   // of the connection
}

func (e *httpError) write(w http.ResponseWriter) {
	if e.name != "" {
		w.Header().Set(e.name, e.value)
	}
	if e.end {
		w.Header().Set("Connection", "close")
	}
	http.Error(w, e.text, e.status)
}

// serveMessage answers one request of HTTP.
func serveMessage(w http.ResponseWriter, q *http.Request) {
	c := connOf(q)
	defer c.abort()
	if c.monitored(w, q) {
		return
	}
	if e := c.post(w, q); e != nil {
		e.write(w)
	}
}

// post answers the message in a request.
func (c *conn) post(w http.ResponseWriter, q *http.Request) *httpError {
	form, e := acceptable(q)
	if e != nil {
		return e
	}
	defer func() {
		c.r, c.w = 0, 0
		c.shrink(c.encoder.Bytes())
	}()
	body, e := c.body(w, q)
	if e != nil {
		return e
	}
	if e := c.recognize(); e != nil {
		return e
	}
	answer := c.answerIn(form, body)
	h := w.Header()
	h.Set("Content-Type", form.mediaType)
	h.Set("Content-Length", strconv.Itoa(len(answer)))
	h.Set("Cache-Control", "no-cache, no-store")
	http.NewResponseController(w).SetWriteDeadline(time.Now().Add(c.server.Limits.WriteTimeout))
	w.Write(answer) // an error ends the connection, and is the client's to notice
	if form.write != nil {
		clear(answer)
	}
	return nil
}

// acceptable tells how the message in a request is encoded.
func acceptable(q *http.Request) (*encoding, *httpError) {
	if q.URL.Path != httpPath {
		return nil, &httpError{status: http.StatusNotFound, text: "there is nothing here; messages are posted to " + httpPath}
	}
	if q.Method != http.MethodPost {
		return nil, &httpError{status: http.StatusMethodNotAllowed, text: "messages are sent by POST", name: "Allow", value: http.MethodPost}
	}
	given := q.Header.Get("Content-Type")
	mediaType, parameters, err := mime.ParseMediaType(given)
	charset, said := parameters["charset"]
	coding := q.Header.Get("Content-Encoding")
	for i := range encodings {
		if err == nil && encodings[i].mediaType == mediaType && (!said || strings.EqualFold(charset, "utf-8")) && (coding == "" || coding == "identity") {
			return &encodings[i], nil
		}
	}
	text := "the Content-Type of a message is one of " + mediaTypes + ", in UTF-8 and not compressed"
	return nil, &httpError{status: http.StatusUnsupportedMediaType, text: text, name: "Accept", value: mediaTypes}
}

// body reads the body of a request into the connection's buffer, which grows as bytes arrive.
func (c *conn) body(w http.ResponseWriter, q *http.Request) ([]byte, *httpError) {
	most := c.server.Limits.Message.Size
	if most == 0 {
		most = ttlv.DefaultSize
	}
	tooLarge := &httpError{status: http.StatusRequestEntityTooLarge, text: "a message has at most " + strconv.Itoa(most) + " bytes", end: true}
	if q.ContentLength > int64(most) {
		return nil, tooLarge
	}
	r := http.MaxBytesReader(w, q.Body, int64(most))
	c.r, c.w = 0, 0
	for {
		c.makeRoom(c.w + 1)
		k, err := r.Read(c.in[c.w:])
		c.w += k
		var larger *http.MaxBytesError
		switch {
		case err == nil:
			continue
		case err == io.EOF:
			return c.in[:c.w:c.w], nil
		case errors.As(err, &larger):
			return nil, tooLarge
		case c.draining.Load():
			return nil, &httpError{status: http.StatusServiceUnavailable, text: "the server is stopping", end: true}
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil, &httpError{status: http.StatusRequestTimeout, text: "the message did not arrive in time", end: true}
		}
		return nil, &httpError{status: http.StatusBadRequest, text: "the message did not arrive whole", end: true}
	}
}

// recognize identifies the client again when the credentials have changed.
func (c *conn) recognize() *httpError {
	if c.generation == c.server.Gate.generation.Load() {
		return nil
	}
	if err := c.identify(); err != nil {
		c.ended(err)
		return &httpError{status: http.StatusForbidden, text: "the client's certificate is not accepted any more", end: true}
	}
	return nil
}

// answerIn answers the message in body, both in the encoding form. The answer is valid until the encoder is used again.
func (c *conn) answerIn(form *encoding, body []byte) []byte {
	c.server.throttle.enter()
	defer c.server.throttle.leave()
	if form.read == nil {
		c.answer(body)
		return c.encoder.Bytes()
	}
	c.request.version = ttlv.V1_0
	if message, err := form.read(body, &c.server.Limits.Message); err != nil {
		c.refuse(ttlv.V1_0, kmip.Errorf(kmip.ResultReasonInvalidMessage, "%v", err))
	} else {
		raw := message.Append(nil)
		c.answer(raw)
		clear(raw)
	}
	text, err := form.encode(c.encoder.Bytes())
	if err == nil {
		return text
	}
	c.encoder.Reset(c.encoder.Bytes()[:0], c.request.version)
	c.refuse(c.request.version, kmip.Errorf(kmip.ResultReasonGeneralFailure, "the answer cannot be written in %s: %v", form.mediaType, err))
	if text, err = form.encode(c.encoder.Bytes()); err != nil {
		panic("encoding a refusal: " + err.Error())
	}
	return text
}

// encode writes a response. It fails if the response has a text that the encoding cannot hold.
func (form *encoding) encode(response []byte) ([]byte, error) {
	n, err := ttlv.Parse(response, &ttlv.Limits{Size: math.MaxInt32, Depth: math.MaxInt32, Items: math.MaxInt32})
	if err != nil {
		return nil, err
	}
	return form.write(n)
}
