package kmip

import "strongroom/kmip/ttlv"

// PollRequest asks what an asynchronous operation came to. KMIP 2.1 §6.1.38, KMIP 1.0 §4.26.
type PollRequest struct {
	AsynchronousCorrelationValue []byte `ttlv:"AsynchronousCorrelationValue"`
}

// PollResponse stands for the answer to the operation that was asked for, which the answer to Poll is.
type PollResponse struct{}

// CancelRequest asks not to perform an asynchronous operation. KMIP 2.1 §6.1.5, KMIP 1.0 §4.25.
type CancelRequest struct {
	AsynchronousCorrelationValue []byte `ttlv:"AsynchronousCorrelationValue"`
}

// CancelResponse says whether it could be had.
type CancelResponse struct {
	AsynchronousCorrelationValue []byte             `ttlv:"AsynchronousCorrelationValue"`
	CancellationResult           CancellationResult `ttlv:"CancellationResult"`
}

// ProcessRequest asks to perform an asynchronous operation now. KMIP 2.1 §6.1.39.
type ProcessRequest struct {
	AsynchronousCorrelationValue []byte `ttlv:"AsynchronousCorrelationValue"`
}

// ProcessResponse is empty: the operation has been performed.
type ProcessResponse struct{}

// QueryAsynchronousRequestsRequest asks for the asynchronous operations that nobody has polled for: those with one of the
// values and of one of the kinds, where the request names some. KMIP 2.1 §6.1.41.
type QueryAsynchronousRequestsRequest struct {
	AsynchronousCorrelationValues *AsynchronousCorrelationValues `ttlv:"AsynchronousCorrelationValues"`
	Operations                    *Operations                    `ttlv:"Operations"`
}

// AsynchronousCorrelationValues is a list of them. KMIP 2.1 §7.1.
type AsynchronousCorrelationValues struct {
	AsynchronousCorrelationValue [][]byte `ttlv:"AsynchronousCorrelationValue"`
}

// QueryAsynchronousRequestsResponse lists the operations, the oldest first.
type QueryAsynchronousRequestsResponse struct {
	AsynchronousRequest []AsynchronousRequest `ttlv:"AsynchronousRequest"`
}

// AsynchronousRequest describes an asynchronous operation. KMIP 2.1 §7.2.
type AsynchronousRequest struct {
	AsynchronousCorrelationValue []byte                `ttlv:"AsynchronousCorrelationValue"`
	Operation                    Operation             `ttlv:"Operation"`
	SubmissionDate               ttlv.DateTimeExtended `ttlv:"SubmissionDate"`
	ProcessingStage              ProcessingStage       `ttlv:"ProcessingStage"`
}
