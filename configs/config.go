package configs

import (
	"runtime"
	"time"

	"github.com/goccy/go-yaml/ast"
)

// Config is a worker's configuration.
type Config struct {
	// Name identifies the worker in results and logs; empty: the command
	// makes one of host name and process id.
	Name string `yaml:"name"`
	// Prefix is the first token of every subject.
	Prefix string `yaml:"prefix"`
	NATS   NATS   `yaml:"nats"`
	Log    Log    `yaml:"log"`
	// HTTP is the address that serves /livez, /readyz and /metrics; empty: none.
	HTTP string `yaml:"http"`
	// HTTPToken is what POST /drain at that address asks for; empty: it is
	// refused.
	HTTPToken string `yaml:"http_token"`
	// WorkDir is where interpreters' directories are made; empty: the
	// system's temporary directory.
	WorkDir string `yaml:"work_dir"`
	// Nice is by how many steps of nice(2) the worker's own threads yield to
	// its interpreters; 0: not at all.
	Nice int `yaml:"nice"`
	// StartsAtOnce is how many interpreters may be starting at the same time; 0: one a
	// CPU.
	StartsAtOnce int `yaml:"starts_at_once"`
	// DrainTimeout is how long running jobs may take to finish when the
	// worker is stopped.
	DrainTimeout Duration `yaml:"drain_timeout"`
	Results      Results  `yaml:"results"`
	Pools        []Pool   `yaml:"pools"`

	// file and root say where the values came from, for error messages.
	file string
	root ast.Node
}

// NATS says how to reach the server, in the terms that NATS users know.
type NATS struct {
	// URL is one or more server URLs, separated by commas.
	URL string `yaml:"url"`
	// Context is the name of a nats CLI context, or a path to its file.
	Context  string `yaml:"context"`
	Creds    string `yaml:"creds"`
	NKey     string `yaml:"nkey"`
	User     string `yaml:"user"`
	Password string `yaml:"password"`
	Token    string `yaml:"token"`
	TLS      TLS    `yaml:"tls"`
	// InboxPrefix is the first tokens of the subjects that the server answers to;
	// empty: _INBOX.
	InboxPrefix string `yaml:"inbox_prefix"`
}

// TLS holds paths of PEM files.
type TLS struct {
	Cert string `yaml:"cert"`
	Key  string `yaml:"key"`
	CA   string `yaml:"ca"`
}

// Log says what is logged and how.
type Log struct {
	// Level is debug, info, warn or error.
	Level string `yaml:"level"`
	// Format is console or json.
	Format string `yaml:"format"`
}

// Results describes the streams that every pool shares, should the worker
// have to create them.
type Results struct {
	// MaxAge is how long results are kept; 0: for ever.
	MaxAge Duration `yaml:"max_age"`
	// MaxBytes caps the stored results; 0: no cap.
	MaxBytes Size `yaml:"max_bytes"`
	// DeadMaxAge is how long dead jobs are kept; 0: for ever.
	DeadMaxAge Duration `yaml:"dead_max_age"`
	Replicas   int      `yaml:"replicas"`
	// Memory keeps results in the server's memory instead of in files.
	Memory bool `yaml:"memory"`
}

// Pool describes one pool on this worker. Isolation, AckWait and the stream's
// rules must be the same on every worker of the pool.
type Pool struct {
	Name      string `yaml:"name"`
	Isolation string `yaml:"isolation"`
	// Interpreters is the number of Python processes; 0: one a CPU.
	Interpreters int `yaml:"interpreters"`
	// Python is the interpreter's path, or a name looked up in PATH.
	Python string `yaml:"python"`
	// Spares is how many interpreters are kept warm beside those that run jobs.
	Spares int `yaml:"spares"`
	// Template keeps a process that interpreters are forked from, where the mode can.
	Template bool `yaml:"template"`
	// ReadyTimeout bounds the start of an interpreter.
	ReadyTimeout Duration `yaml:"ready_timeout"`
	// UnhealthyAfter is how many starts in a row have to fail until the pool is
	// unhealthy.
	UnhealthyAfter int `yaml:"unhealthy_after"`
	// Budget is what an interpreter may use up before it is replaced.
	Budget Budget `yaml:"budget"`
	// Timeout is the wall-clock limit of a job; 0: none.
	Timeout Duration `yaml:"timeout"`
	// Memory is the memory limit of a job; 0: none.
	Memory Size `yaml:"memory"`
	// CPU limits the processor time of a job's process, in whole seconds; 0: no
	// limit. For modes in which a job has a process of its own.
	CPU Duration `yaml:"cpu"`
	// Processes, OpenFiles and FileSize limit how many processes and threads a job
	// may have at a time, how many descriptors each of its processes, and how large
	// each file that it writes may be; 0: no limit. For modes in which a job has a
	// process of its own; Processes needs a range of users.
	Processes int  `yaml:"processes"`
	OpenFiles int  `yaml:"open_files"`
	FileSize  Size `yaml:"file_size"`
	// User is who interpreters run as: a name, uid, uid:gid or a range first-last,
	// of which each interpreter has one of its own; empty: the worker's user.
	User string `yaml:"user"`
	// Preload names modules that are imported once, so that each job starts with
	// them; for modes that fork.
	Preload []string `yaml:"preload"`
	// ThirdParty is what becomes of modules that are not of the standard library when a
	// job ends: keep, or drop, so that each job imports them afresh; for reset.
	ThirdParty string `yaml:"third_party"`
	// Imports names the modules that jobs may import, "default" among them; for
	// restricted modes.
	Imports []string `yaml:"imports"`
	// Attempts is how many deliveries a job may take.
	Attempts int `yaml:"attempts"`
	// OutputCap limits what is kept of each output of a job.
	OutputCap Size `yaml:"output_cap"`
	// MaxJobBytes refuses larger jobs.
	MaxJobBytes Size `yaml:"max_job_bytes"`
	// ReplyAllow lists the NATS patterns that a reply_to may match.
	ReplyAllow []string `yaml:"reply_allow"`
	// Env is added to the interpreters' environment.
	Env map[string]string `yaml:"env"`

	// AckWait is how long a job may go without a sign of life from its worker.
	AckWait Duration `yaml:"ack_wait"`
	// MaxBytes and MaxMsgs cap the pool's queue; 0: no cap.
	MaxBytes        Size     `yaml:"max_bytes"`
	MaxMsgs         int64    `yaml:"max_msgs"`
	DuplicateWindow Duration `yaml:"duplicate_window"`
	Replicas        int      `yaml:"replicas"`
}

// Default returns the configuration of a worker whose file says nothing: no
// pools yet.
func Default() Config {
	return Config{
		Prefix:       "molt",
		Log:          Log{Level: "info", Format: "console"},
		Nice:         10,
		DrainTimeout: Duration(30 * time.Second),
		Results: Results{
			MaxAge:     Duration(24 * time.Hour),
			DeadMaxAge: Duration(14 * 24 * time.Hour),
			Replicas:   1,
		},
	}
}

// DefaultPool returns the settings of a pool that only has a name.
func DefaultPool(name string) Pool {
	return Pool{
		Name:            name,
		Isolation:       "reset",
		Interpreters:    CPUs(),
		Python:          "python3",
		Spares:          1,
		Template:        true,
		ReadyTimeout:    Duration(30 * time.Second),
		UnhealthyAfter:  3,
		Budget:          DefaultBudget(),
		Timeout:         Duration(60 * time.Second),
		ThirdParty:      "keep",
		Attempts:        5,
		OutputCap:       256 << 10,
		MaxJobBytes:     8 << 20,
		ReplyAllow:      []string{"_INBOX.>"},
		AckWait:         Duration(30 * time.Second),
		MaxBytes:        1 << 30,
		MaxMsgs:         2_000_000,
		DuplicateWindow: Duration(2 * time.Minute),
		Replicas:        1,
	}
}

// CPUs is the number of CPUs that this process may keep busy: unlike
// runtime.NumCPU it heeds a container's limit.
func CPUs() int { return runtime.GOMAXPROCS(0) }

// UnmarshalYAML lets what a pool leaves out keep its default.
func (p *Pool) UnmarshalYAML(unmarshal func(any) error) error {
	type plain Pool
	pool := plain(DefaultPool(""))
	if err := unmarshal(&pool); err != nil {
		return err
	}
	if pool.Interpreters == 0 {
		pool.Interpreters = CPUs()
	}
	*p = Pool(pool)
	return nil
}
