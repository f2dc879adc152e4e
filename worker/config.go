package worker

import (
	"cmp"
	"runtime"
	"time"

	"go.uber.org/zap"

	"github.com/seed-0f8c9bb6/molt/isolation"
	"github.com/seed-0f8c9bb6/molt/pyproc"
	"github.com/seed-0f8c9bb6/molt/queue"
)

// Config describes one worker.
type Config struct {
	// Name identifies the worker in results and logs.
	Name string
	// Version is what the worker says that it is, in Status.
	Version string
	// Subjects names the streams.
	Subjects queue.Subjects
	// Results describes the result streams, should they have to be created.
	Results queue.ResultStreams
	// Pools are the pools that this worker serves.
	Pools []PoolConfig
	// WorkDir is where the interpreters' directories are made; empty: the
	// system's temporary directory.
	WorkDir string
	// DrainTimeout is how long running jobs may take to finish when the
	// worker is stopped; after that they are killed and given back.
	DrainTimeout time.Duration
	// StartsAtOnce is how many interpreters may be starting at the same time; 0: as
	// many as there are CPUs.
	StartsAtOnce int
	// Alone says that no other worker serves these pools. A job that waits for a slot then
	// waits as long as it takes: nobody else could have it, and one that was given back
	// would come out of its order.
	Alone bool
	// Explain says more of an error of the connection, as queue.Connection does; nil:
	// nothing more is known.
	Explain func(error) error
	// Log gets one line for each thing an operator should know.
	Log *zap.Logger
	// Observer is told how long jobs took; nil: nobody.
	Observer Observer
}

// PoolConfig describes one pool on one worker.
type PoolConfig struct {
	// Stream describes the pool's stream and consumer.
	Stream queue.PoolStream
	// Mode is how the pool's jobs are kept apart.
	Mode isolation.Mode
	// Options are what the pool asks of its mode.
	Options isolation.Options
	// Users are the users that interpreters run as; nil: the worker's.
	Users *pyproc.Users
	// Interpreters is the number of slots.
	Interpreters int
	// Spares is how many interpreters are kept warm beside those in the slots, so that
	// one that has to be replaced is replaced at once. With 0 a slot waits for the
	// start of its next interpreter.
	Spares int
	// NoTemplate has every interpreter started by itself, where the mode would let it be
	// forked from a template in a tenth of the time.
	NoTemplate bool
	// ReadyTimeout bounds the start of an interpreter; 0: DefaultReadyTimeout.
	ReadyTimeout time.Duration
	// UnhealthyAfter is how many starts in a row have to fail until the pool counts as
	// unhealthy; 0: DefaultUnhealthyAfter.
	UnhealthyAfter int
	// Python is the interpreter's path, or a name looked up in PATH.
	Python string
	// Budget is what an interpreter may use up before it is replaced.
	Budget Budget
	// Timeout is the wall-clock limit of a job that names none and the cap of
	// one that does; 0: no limit.
	Timeout time.Duration
	// MemoryBytes is the same for memory; 0: no limit.
	MemoryBytes int64
	// Attempts is how many deliveries a job may take before it is recorded as
	// dead and answered with an infra_error.
	Attempts int
	// OutputCap limits what is kept of each output of a job, in bytes.
	OutputCap int
	// MaxJobBytes refuses larger job messages before they are decoded.
	MaxJobBytes int
	// ReplyAllow lists the NATS patterns that a reply_to may match.
	ReplyAllow []string
	// Env is added to the interpreters' environment, "KEY=value".
	Env []string
}

// What holds where a PoolConfig has zero.
const (
	DefaultReadyTimeout   = 30 * time.Second
	DefaultMinLifetime    = time.Second
	DefaultUnhealthyAfter = 3
)

func (c *Config) startsAtOnce() int {
	if c.StartsAtOnce > 0 {
		return c.StartsAtOnce
	}
	return runtime.GOMAXPROCS(0)
}

// usesTemplate tells whether interpreters are forked from a template. One whose mode forks
// is such a process itself: it runs no job.
func (c *PoolConfig) usesTemplate() bool { return !c.NoTemplate && !c.Mode.Forks }

func (c *PoolConfig) readyTimeout() time.Duration { return cmp.Or(c.ReadyTimeout, DefaultReadyTimeout) }
func (c *PoolConfig) minLifetime() time.Duration {
	return cmp.Or(c.Budget.MinLifetime, DefaultMinLifetime)
}
func (c *PoolConfig) unhealthyAfter() int { return cmp.Or(c.UnhealthyAfter, DefaultUnhealthyAfter) }
