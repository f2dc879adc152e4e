package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/seed-0f8c9bb6/molt/configs"
	"github.com/seed-0f8c9bb6/molt/isolation"
	"github.com/seed-0f8c9bb6/molt/queue"
)

// envAnnotation marks a flag that an environment variable can set.
const envAnnotation = "molt_env"

// bindEnv lets the variable set the flag where the command line doesn't.
func bindEnv(flags *pflag.FlagSet, flag, variable string) {
	f := flags.Lookup(flag)
	f.Usage += " [$" + variable + "]"
	f.Annotations = map[string][]string{envAnnotation: {variable}}
}

// applyEnvironment sets the flags that the command line left out from the
// environment. An empty variable counts as unset.
func (a *app) applyEnvironment(cmd *cobra.Command) error {
	a.environ = make(map[string]string)
	var err error
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		variables := f.Annotations[envAnnotation]
		if f.Changed || len(variables) == 0 || err != nil {
			return
		}
		value, ok := a.Env(variables[0])
		if !ok || value == "" {
			return
		}
		a.environ[f.Name] = variables[0]
		if setErr := cmd.Flags().Set(f.Name, value); setErr != nil {
			err = fmt.Errorf("cannot use %s=%q: %w", variables[0], value, setErr)
		}
	})
	return err
}

// exactlyOne accepts one argument; remedy says which.
func exactlyOne(remedy string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) != 1 {
			return fmt.Errorf("%d arguments: %s", len(args), remedy)
		}
		return nil
	}
}

// onCommandLine reports whether the flag was given on the command line.
func (a *app) onCommandLine(cmd *cobra.Command, flag string) bool {
	return cmd.Flags().Changed(flag) && a.environ[flag] == ""
}

// connectionFlags say how to reach the server and whose jobs these are.
type connectionFlags struct {
	config                             string
	server, context                    string
	creds, nkey, user, password, token string
	inboxPrefix                        string
	tlsCert, tlsKey, tlsCA             string
	prefix, namespace, pool            string
	room                               durationFlag
}

func (c *connectionFlags) add(flags *pflag.FlagSet) {
	for _, f := range []struct {
		value                    *string
		name, env, usage, preset string
	}{
		{&c.config, "config", "MOLT_CONFIG", "configuration `FILE`, as configs/worker.yaml", ""},
		{&c.server, "server", "NATS_URL", "NATS server `URL`s, separated by commas", ""},
		{&c.context, "context", "NATS_CONTEXT", "nats CLI context `NAME`", ""},
		{&c.creds, "creds", "NATS_CREDS", "credentials `FILE`", ""},
		{&c.nkey, "nkey", "NATS_NKEY", "NKey seed `FILE`", ""},
		{&c.user, "user", "NATS_USER", "`NAME` to log in with", ""},
		{&c.password, "password", "NATS_PASSWORD", "password", ""},
		{&c.token, "token", "NATS_TOKEN", "authentication token", ""},
		{&c.inboxPrefix, "inbox-prefix", "NATS_INBOX_PREFIX", "first tokens of the subjects that the server answers to (default: _INBOX)", ""},
		{&c.tlsCert, "tlscert", "NATS_CERT", "TLS client certificate `FILE`", ""},
		{&c.tlsKey, "tlskey", "NATS_KEY", "TLS client key `FILE`", ""},
		{&c.tlsCA, "tlsca", "NATS_CA", "TLS authorities `FILE`", ""},
		{&c.prefix, "prefix", "MOLT_PREFIX", "first token of every subject", queue.DefaultPrefix},
	} {
		flags.StringVar(f.value, f.name, f.preset, f.usage)
		bindEnv(flags, f.name, f.env)
	}
}

func (c *connectionFlags) addClient(flags *pflag.FlagSet) {
	c.add(flags)
	flags.StringVar(&c.namespace, "namespace", queue.DefaultNamespace, "whose jobs and results these are")
	bindEnv(flags, "namespace", "MOLT_NAMESPACE")
}

func (c *connectionFlags) addPool(flags *pflag.FlagSet) {
	flags.StringVar(&c.pool, "pool", queue.DefaultPool, "pool to publish to")
	bindEnv(flags, "pool", "MOLT_POOL")
}

// addRoom defines how long to wait while the pool is full; preset is what holds
// without the flag.
func (c *connectionFlags) addRoom(flags *pflag.FlagSet, preset string) {
	flags.Var(&c.room, "wait-for-room", "while the pool is full, try again for so long (default: "+preset+")")
}

// roomError adds to the error of a full pool what the caller may do about it.
func (c *connectionFlags) roomError(err error) error {
	if errors.Is(err, queue.ErrPoolFull) && c.room == 0 {
		return fmt.Errorf("%w; --wait-for-room 1m waits for it", err)
	}
	return err
}

// submitError says of a failed submission what the flags can do about it, and under which
// id the job may be stored all the same.
func (c *connectionFlags) submitError(err error, t queue.Ticket) error {
	if errors.Is(err, queue.ErrUnconfirmed) && t.ID != "" {
		return fmt.Errorf("%w (its id is %s)", err, t.ID)
	}
	return c.roomError(err)
}

// checkNames checks what will be part of subjects; commands that have no such
// flag leave it empty.
func (c *connectionFlags) checkNames() error {
	var errs []error
	if c.namespace != "" {
		errs = append(errs, queue.CheckNamespace(c.namespace))
	}
	if c.pool != "" {
		errs = append(errs, queue.CheckPool(c.pool))
	}
	return errors.Join(errs...)
}

// overlay puts what flags and environment say over the configuration.
func (c *connectionFlags) overlay(a *app, cmd *cobra.Command, cfg *configs.Config) error {
	flags := cmd.Flags()
	for _, f := range []struct {
		name  string
		value string
		to    *string
	}{
		{"creds", c.creds, &cfg.NATS.Creds}, {"nkey", c.nkey, &cfg.NATS.NKey},
		{"user", c.user, &cfg.NATS.User}, {"password", c.password, &cfg.NATS.Password},
		{"token", c.token, &cfg.NATS.Token}, {"inbox-prefix", c.inboxPrefix, &cfg.NATS.InboxPrefix},
		{"tlscert", c.tlsCert, &cfg.NATS.TLS.Cert},
		{"tlskey", c.tlsKey, &cfg.NATS.TLS.Key}, {"tlsca", c.tlsCA, &cfg.NATS.TLS.CA},
		{"prefix", c.prefix, &cfg.Prefix},
	} {
		if flags.Changed(f.name) {
			*f.to = f.value
		}
	}
	server, context := flags.Changed("server"), flags.Changed("context")
	if server && context {
		// One of them may be on the command line and beat the other.
		serverFlag, contextFlag := a.onCommandLine(cmd, "server"), a.onCommandLine(cmd, "context")
		if serverFlag == contextFlag {
			return usageErrorf("cannot use both a server (--server, NATS_URL) and a context (--context, NATS_CONTEXT): give one")
		}
		server, context = serverFlag, contextFlag
	}
	switch {
	case server:
		cfg.NATS.URL, cfg.NATS.Context = c.server, ""
	case context:
		cfg.NATS.URL, cfg.NATS.Context = "", c.context
	}
	return nil
}

// poolFlags describe the pool of an embedded worker and of a worker without a
// configuration file; with a file they beat what it says of each pool.
type poolFlags struct {
	isolation    string
	interpreters int
	budget       int
	python       string
	nice         int
}

// add defines the flags; of says whose pool they describe where it is not this
// command's own.
func (p *poolFlags) add(flags *pflag.FlagSet, of string) {
	preset := configs.DefaultPool(queue.DefaultPool)
	modes := strings.Join(isolation.Names(), ", ")
	flags.StringVar(&p.isolation, "isolation", preset.Isolation, "isolation `MODE` of the "+of+"pool: "+modes)
	flags.IntVar(&p.interpreters, "interpreters", 0, "number of Python processes (default: one a CPU)")
	flags.IntVar(&p.budget, "budget", preset.Budget.Executions, "executions after which an interpreter is replaced; 0: never")
	flags.StringVar(&p.python, "python", preset.Python, "Python interpreter: a `PATH`, or a name looked up in PATH")
	flags.IntVar(&p.nice, "nice", configs.Default().Nice, "steps of nice(2) by which molt's own threads yield to its interpreters")
	bindEnv(flags, "isolation", "MOLT_ISOLATION")
	bindEnv(flags, "interpreters", "MOLT_INTERPRETERS")
	bindEnv(flags, "nice", "MOLT_NICE")
	bindEnv(flags, "budget", "MOLT_BUDGET")
	bindEnv(flags, "python", "MOLT_PYTHON")
}

// poolFlagNames are the flags that mean nothing to a worker elsewhere.
var poolFlagNames = []string{"isolation", "interpreters", "budget", "python", "nice", "store"}

// limitFlags are a job's limits: of the embedded worker's pool, and of each
// job that names none.
type limitFlags struct {
	timeout durationFlag
	memory  sizeFlag
}

// add defines the flags with the defaults of a pool; before says what else
// holds where the flags are not given.
func (l *limitFlags) add(flags *pflag.FlagSet, before string) {
	preset := configs.DefaultPool("")
	l.define(flags, fmt.Sprintf("; 0: none (default: %s%v)", before, preset.Timeout), fmt.Sprintf("; 0: none (default: %snone)", before))
}

// addTo defines the flags of a command that only publishes.
func (l *limitFlags) addTo(flags *pflag.FlagSet, preset string) {
	l.define(flags, " (default: "+preset+")", " (default: "+preset+")")
}

func (l *limitFlags) define(flags *pflag.FlagSet, timeout, memory string) {
	flags.Var(&l.timeout, "timeout", "wall-clock limit of a job"+timeout)
	flags.Var(&l.memory, "memory", "memory limit of a job, such as 512MiB"+memory)
	bindEnv(flags, "timeout", "MOLT_TIMEOUT")
	bindEnv(flags, "memory", "MOLT_MEMORY")
}

// durationFlag is a duration that is not negative.
type durationFlag time.Duration

// Set implements pflag.Value.
func (d *durationFlag) Set(text string) error {
	value, err := time.ParseDuration(text)
	if err != nil || value < 0 {
		return fmt.Errorf("%q is not a duration of 0 or more: write a number with its unit, such as 500ms, 30s or 24h", text)
	}
	*d = durationFlag(value)
	return nil
}

func (d *durationFlag) String() string {
	if *d == 0 {
		return "" // the help shows no default then
	}
	return time.Duration(*d).String()
}

// Type implements pflag.Value; it is what the help shows for the value.
func (d *durationFlag) Type() string { return "DURATION" }

// sizeFlag is a number of bytes with a unit.
type sizeFlag int64

// Set implements pflag.Value.
func (s *sizeFlag) Set(text string) error {
	n, err := configs.ParseSize(text)
	*s = sizeFlag(n)
	return err
}

func (s *sizeFlag) String() string {
	if *s == 0 {
		return ""
	}
	return configs.Size(*s).String()
}

// Type implements pflag.Value.
func (s *sizeFlag) Type() string { return "SIZE" }
