package kmip

// PingRequest asks whether the server is alive. KMIP 2.1 §6.1.36.
type PingRequest struct{}

// PingResponse says that it is.
type PingResponse struct{}

// LogRequest writes a line into the server's log. KMIP 2.1 §6.1.29.
type LogRequest struct {
	LogMessage string `ttlv:"LogMessage"`
}

// LogResponse says that it was written.
type LogResponse struct{}
