package queue

import "errors"

// Errors that callers may test for with errors.Is. Each wraps into a message
// that names the cause and the remedy.
var (
	// ErrNoServer: no NATS server answered. Nothing was sent.
	ErrNoServer = errors.New("no NATS server there")
	// ErrNotReady: the server does not serve JetStream at present, as in a cluster
	// without a leader or with too few servers for a stream. It may pass by itself.
	ErrNotReady = errors.New("the server is not ready")
	// ErrNoJetStream: the server or the account has JetStream disabled.
	// Nothing was sent.
	ErrNoJetStream = errors.New("JetStream is not enabled")
	// ErrNoPool: no stream takes the pool's jobs. The job was not stored.
	ErrNoPool = errors.New("no such pool")
	// ErrForbidden: the server's permissions don't let this user do that.
	// Nothing was stored or read.
	ErrForbidden = errors.New("not permitted")
	// ErrUnconfirmed: the server did not confirm the job in time. Whether it is
	// stored is unknown; the same job under the same id may be submitted again,
	// and is recognised as a duplicate if it was.
	ErrUnconfirmed = errors.New("the job's publication was not confirmed")
	// ErrResultsLost: results of a batch can't be read any further. Those that
	// were not read are still stored; a new iteration starts at the first.
	ErrResultsLost = errors.New("the results can't be read any further")
	// ErrSettings: what says how to reach the server can't be used: a file of
	// credentials, keys or certificates, a context, a URL. Nothing was sent.
	ErrSettings = errors.New("wrong settings of the connection")
	// ErrCredentials: the server refuses the user, or the certificate. Nothing
	// was sent.
	ErrCredentials = errors.New("the server refuses these credentials")
	// ErrTLS: the server's certificate is not trusted, or no secure connection
	// comes about. Nothing was sent.
	ErrTLS = errors.New("no secure connection")
	// ErrPoolFull: the pool's stream reached its cap. The job was not stored.
	ErrPoolFull = errors.New("the pool is full")
	// ErrTooLarge: the encoded job exceeds what the server takes. It was not sent.
	ErrTooLarge = errors.New("the job is too large")
	// ErrIDUsed: another job has the same id in this batch. The new job has
	// no result and will not run.
	ErrIDUsed = errors.New("the id is used by another job")
	// ErrShape: a stream or consumer exists with settings that molt can't work
	// with. Nothing was changed.
	ErrShape = errors.New("the stream has another shape")
	// ErrUnserved: the server serves no requests for the pool's jobs. Jobs wait, if
	// their stream is still there.
	ErrUnserved = errors.New("the pool is not served")
	// ErrNotFound: there is neither a stored result nor a waiting job.
	ErrNotFound = errors.New("unknown job")
	// ErrLeaseLost: the job may be another worker's by now. Its result may still
	// be stored, and the job acknowledged; nothing else.
	ErrLeaseLost = errors.New("the lease is lost")
	// ErrSettled: the delivery was settled before; the earlier call counts.
	ErrSettled = errors.New("the delivery is settled already")
)
