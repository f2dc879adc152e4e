package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/seed-0f8c9bb6/molt/configs"
	"github.com/seed-0f8c9bb6/molt/isolation"
	"github.com/seed-0f8c9bb6/molt/pyproc"
	"github.com/seed-0f8c9bb6/molt/queue"
	"github.com/seed-0f8c9bb6/molt/worker"
)

// loadConfig reads the file, if one is named, and puts connection flags over it.
func (a *app) loadConfig(cmd *cobra.Command, c *connectionFlags) (configs.Config, error) {
	cfg := configs.Default()
	if c.config != "" {
		loaded, err := configs.Load(c.config)
		if err != nil {
			return cfg, usageError(err)
		}
		cfg = loaded
	}
	if err := c.overlay(a, cmd, &cfg); err != nil {
		return cfg, err
	}
	if err := c.checkNames(); err != nil {
		return cfg, usageError(err)
	}
	if err := errors.Join(cfg.Validate(), checkFiles(&cfg)); err != nil {
		return cfg, usageError(a.blame(cmd, err))
	}
	return cfg, nil
}

// checkFiles names the credential that can't be read; connecting would take it
// for a server that isn't there.
func checkFiles(cfg *configs.Config) error {
	var errs []error
	for _, file := range []struct{ key, path string }{
		{"nats.creds", cfg.NATS.Creds}, {"nats.nkey", cfg.NATS.NKey},
		{"nats.tls.cert", cfg.NATS.TLS.Cert}, {"nats.tls.key", cfg.NATS.TLS.Key}, {"nats.tls.ca", cfg.NATS.TLS.CA},
	} {
		if file.path == "" {
			continue
		}
		f, err := os.Open(file.path)
		if err != nil {
			errs = append(errs, cfg.KeyErrorf(file.key, "names a file that cannot be read: %v", err))
			continue
		}
		_ = f.Close()
	}
	return errors.Join(errs...)
}

// overlayPools puts the pool's flags over every pool; without any there is the
// pool "default".
func (a *app) overlayPools(cmd *cobra.Command, cfg *configs.Config, p *poolFlags, l *limitFlags) error {
	if len(cfg.Pools) == 0 {
		cfg.Pools = []configs.Pool{configs.DefaultPool(queue.DefaultPool)}
	}
	flags := cmd.Flags()
	if flags.Changed("nice") {
		cfg.Nice = p.nice
	}
	cfg.Pools = slices.Clone(cfg.Pools)
	for i := range cfg.Pools {
		pool := &cfg.Pools[i]
		if flags.Changed("isolation") {
			pool.Isolation = p.isolation
		}
		if flags.Changed("interpreters") {
			pool.Interpreters = p.interpreters
			if p.interpreters == 0 {
				pool.Interpreters = configs.CPUs()
			}
		}
		if flags.Changed("budget") {
			pool.Budget.Executions = p.budget
		}
		if flags.Changed("python") {
			pool.Python = p.python
		}
		if flags.Changed("timeout") {
			pool.Timeout = configs.Duration(l.timeout)
		}
		if flags.Changed("memory") {
			pool.Memory = configs.Size(l.memory)
		}
	}
	if err := errors.Join(cfg.Validate(), checkModes(cfg)); err != nil {
		return usageError(a.blame(cmd, err))
	}
	return nil
}

// checkModes names the pools whose isolation mode doesn't exist or can't
// enforce what the pool asks for.
func checkModes(cfg *configs.Config) error {
	var errs []error
	for i, p := range cfg.Pools {
		key := fmt.Sprintf("pools[%d].isolation", i)
		mode, err := isolation.Lookup(p.Isolation)
		if err != nil {
			errs = append(errs, cfg.KeyErrorf(key, "%q is unknown: choose one of %s", p.Isolation, strings.Join(isolation.Names(), ", ")))
			continue
		}
		pool, err := poolConfig(p, mode)
		if err != nil {
			errs = append(errs, cfg.KeyErrorf(fmt.Sprintf("pools[%d].user", i), "does not fit: %v", err))
			continue
		}
		if _, err := mode.Settings(pool.Options); err != nil {
			errs = append(errs, cfg.KeyErrorf(key, "does not fit: %v", err))
		}
	}
	return errors.Join(errs...)
}

// serverNamed reports whether anything names a NATS server.
func serverNamed(cfg configs.Config) bool { return cfg.NATS.URL != "" || cfg.NATS.Context != "" }

// connection returns how to reach the configured server.
func connection(cfg configs.Config, name string, log *zap.Logger) queue.Connection {
	n := cfg.NATS
	return queue.Connection{
		URL: n.URL, Context: n.Context, Name: name,
		Creds: n.Creds, NKey: n.NKey, User: n.User, Password: n.Password, Token: n.Token,
		InboxPrefix: n.InboxPrefix,
		TLSCert:     n.TLS.Cert, TLSKey: n.TLS.Key, TLSCA: n.TLS.CA,
		OnEvent: func(event string, err error) {
			log.Warn("NATS connection", zap.String("event", event), zap.Error(err))
		},
	}
}

// clientConnection is the connection of a command that is not a worker. A publish that
// the server refuses is the command's own error, or of no account to it.
func clientConnection(cfg configs.Config, name string, log *zap.Logger) queue.Connection {
	c := connection(cfg, name, log)
	warn := c.OnEvent
	c.OnEvent = func(event string, err error) {
		if errors.Is(err, nats.ErrPermissionViolation) && strings.Contains(strings.ToLower(err.Error()), "for publish to") {
			log.Debug("NATS connection", zap.String("event", event), zap.Error(err))
			return
		}
		warn(event, err)
	}
	return c
}

// workerConfig turns the file's words into the worker's.
func workerConfig(cfg configs.Config, log *zap.Logger) (worker.Config, error) {
	subjects, err := queue.NewSubjects(cfg.Prefix)
	if err != nil {
		return worker.Config{}, usageError(cfg.KeyErrorf("prefix", "%v", err))
	}
	w := worker.Config{
		Name:     cfg.Name,
		Version:  readVersions().Molt,
		Subjects: subjects,
		Results: queue.ResultStreams{
			MaxAge:     cfg.Results.MaxAge.Std(),
			MaxBytes:   int64(cfg.Results.MaxBytes),
			DeadMaxAge: cfg.Results.DeadMaxAge.Std(),
			Replicas:   cfg.Results.Replicas,
			Memory:     cfg.Results.Memory,
		},
		WorkDir:      cfg.WorkDir,
		DrainTimeout: cfg.DrainTimeout.Std(),
		StartsAtOnce: cfg.StartsAtOnce,
		Log:          log,
	}
	if w.Name == "" {
		w.Name = defaultName()
	}
	for _, p := range cfg.Pools {
		mode, err := isolation.Lookup(p.Isolation)
		if err != nil {
			return worker.Config{}, usageError(err)
		}
		pool, err := poolConfig(p, mode)
		if err != nil {
			return worker.Config{}, usageError(err)
		}
		w.Pools = append(w.Pools, pool)
	}
	if err := w.CheckRanges(); err != nil {
		return worker.Config{}, usageError(err)
	}
	return w, nil
}

// poolConfig turns the file's words into the worker's; the error is about the user.
func poolConfig(p configs.Pool, mode isolation.Mode) (worker.PoolConfig, error) {
	c := worker.PoolConfig{
		Stream: queue.PoolStream{
			Pool: p.Name, Isolation: p.Isolation,
			AckWait:  p.AckWait.Std(),
			MaxBytes: int64(p.MaxBytes), MaxMsgs: p.MaxMsgs,
			DuplicateWindow: p.DuplicateWindow.Std(),
			Replicas:        p.Replicas,
		},
		Mode: mode,
		Options: isolation.Options{
			Preload: p.Preload, CPU: p.CPU.Std(), Imports: p.Imports,
			DropThirdParty: p.ThirdParty == "drop",
			Processes:      p.Processes, OpenFiles: p.OpenFiles, FileSize: int64(p.FileSize),
		},
		Interpreters: p.Interpreters,
		Python:       p.Python,
		Spares:       p.Spares,
		NoTemplate:   !p.Template,
		ReadyTimeout: p.ReadyTimeout.Std(), UnhealthyAfter: p.UnhealthyAfter,
		Budget:      budget(p.Budget),
		Timeout:     p.Timeout.Std(),
		MemoryBytes: int64(p.Memory),
		Attempts:    p.Attempts,
		OutputCap:   int(p.OutputCap),
		MaxJobBytes: int(p.MaxJobBytes),
		ReplyAllow:  p.ReplyAllow,
	}
	for _, name := range slices.Sorted(maps.Keys(p.Env)) {
		c.Env = append(c.Env, name+"="+p.Env[name])
	}
	if p.User != "" {
		var err error
		if c.Users, err = pyproc.ParseUsers(p.User); err != nil {
			return c, err
		}
		c.Options.Users = c.Users.Size()
	}
	return c, nil
}

func budget(b configs.Budget) worker.Budget {
	limit := func(m configs.MemoryLimit) worker.MemoryLimit {
		return worker.MemoryLimit{Bytes: int64(m.Bytes), Growth: m.Growth}
	}
	return worker.Budget{
		Executions: b.Executions, Jitter: float64(b.Jitter),
		Memory: limit(b.Memory), MemoryHard: limit(b.MemoryHard), Proportional: b.MemoryMeasure == "pss",
		Age: b.Age.Std(), Idle: b.Idle.Std(),
		Modules: b.Modules, Errors: b.Errors, MinLifetime: b.MinLifetime.Std(),
	}
}

// defaultName tells workers on one machine apart.
func defaultName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "molt"
	}
	return fmt.Sprintf("%s-%d", host, os.Getpid())
}

// limits returns what --timeout and --memory, if given, ask of a job.
func limits(cmd *cobra.Command, l *limitFlags) (timeoutMS, memoryBytes int64) {
	if cmd.Flags().Changed("timeout") && l.timeout > 0 {
		timeoutMS = int64((time.Duration(l.timeout) + time.Millisecond - 1) / time.Millisecond)
	}
	if cmd.Flags().Changed("memory") {
		memoryBytes = int64(l.memory)
	}
	return timeoutMS, memoryBytes
}
