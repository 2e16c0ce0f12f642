package server

import (
	"strconv"

	"strongroom/kmip"
)

// ping answers Ping. KMIP 2.1 §6.1.36.
func (r *Request) ping(*call, *kmip.PingRequest) (*kmip.PingResponse, error) {
	return &kmip.PingResponse{}, nil
}

// longestLogMessage is the length in bytes of the longest Log Message.
const longestLogMessage = 1024

// log answers Log: the message goes into the server's log, never the audit log, as a quoted attribute beside who sent it. KMIP
// 2.1 §6.1.29. What does not show or ends a line is escaped, whatever the log's format.
func (r *Request) log(_ *call, q *kmip.LogRequest) (*kmip.LogResponse, error) {
	if q.LogMessage == "" || len(q.LogMessage) > longestLogMessage {
		return nil, kmip.Errorf(kmip.ResultReasonInvalidField, "the Log Message has %d bytes, must have 1 to %d", len(q.LogMessage), longestLogMessage)
	}
	r.server.Log.Info("message of a client", "request", r.number, "identity", r.identity, "message", strconv.QuoteToGraphic(q.LogMessage))
	return &kmip.LogResponse{}, nil
}
