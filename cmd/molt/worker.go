package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/seed-0f8c9bb6/molt/configs"
	"github.com/seed-0f8c9bb6/molt/queue"
	"github.com/seed-0f8c9bb6/molt/worker"
)

// connectPatience is how long a worker tries to reach its server at the start:
// in a composition both start at the same time.
const connectPatience = 30 * time.Second

// defaultServer is where a worker looks for a server when nothing names one.
const defaultServer = nats.DefaultURL

// workerFlags are the flags of worker.
type workerFlags struct {
	connection   connectionFlags
	pool         poolFlags
	limit        limitFlags
	name, http   string
	httpToken    string
	workDir      string
	drainTimeout durationFlag
	patience     durationFlag
}

func newWorkerCommand(a *app) *cobra.Command {
	var f workerFlags
	cmd := &cobra.Command{
		Use:   "worker",
		Short: "Serve pools of a NATS server until SIGTERM or SIGINT",
		Long: `Serve the pools of the configuration file, or without one the pool "default",
until SIGTERM or SIGINT. Then take no new jobs, finish those that run up to the
drain timeout, give the rest back, and exit with 0. Results that no server takes
within 12 s more are given up, and their jobs run again. A second signal ends at
once. With nothing else named the server is ` + defaultServer + `.

With a configuration file, flags such as --python and their variables beat what
it says of every pool.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.worker(cmd, &f) },
	}
	flags := cmd.Flags()
	f.connection.add(flags)
	f.pool.add(flags, "")
	f.limit.add(flags, "")
	flags.StringVar(&f.name, "name", "", "the worker's name in results and logs (default: host name and process id)")
	flags.StringVar(&f.http, "http", "", "`ADDRESS` that serves /livez, /readyz and /metrics, such as :8080 (default: none)")
	flags.StringVar(&f.httpToken, "http-token", "", "what POST /drain at that address asks for (default: it is refused)")
	flags.StringVar(&f.workDir, "work-dir", "", "`DIR` for the interpreters' directories (default: the temporary directory)")
	f.drainTimeout, f.patience = durationFlag(configs.Default().DrainTimeout), durationFlag(connectPatience)
	flags.Var(&f.drainTimeout, "drain-timeout", "how long running jobs may take to finish after SIGTERM")
	flags.Var(&f.patience, "connect-timeout", "how long to try to reach the server at the start")
	bindEnv(flags, "name", "MOLT_NAME")
	bindEnv(flags, "http", "MOLT_HTTP")
	bindEnv(flags, "http-token", "MOLT_HTTP_TOKEN")
	bindEnv(flags, "work-dir", "MOLT_WORK_DIR")
	bindEnv(flags, "drain-timeout", "MOLT_DRAIN_TIMEOUT")
	return cmd
}

// workerSettings merges flags, environment and file.
func (a *app) workerSettings(cmd *cobra.Command, f *workerFlags) (configs.Config, error) {
	cfg, err := a.loadConfig(cmd, &f.connection)
	if err != nil {
		return cfg, err
	}
	if f.connection.config != "" && len(cfg.Pools) == 0 {
		return cfg, usageError(cfg.KeyErrorf("pools", "is missing or empty: list at least one pool with its name"))
	}
	flags := cmd.Flags()
	if flags.Changed("name") {
		cfg.Name = f.name
	}
	if flags.Changed("http") {
		cfg.HTTP = f.http
	}
	if flags.Changed("http-token") {
		cfg.HTTPToken = f.httpToken
	}
	if flags.Changed("work-dir") {
		cfg.WorkDir = f.workDir
	}
	if flags.Changed("drain-timeout") {
		cfg.DrainTimeout = configs.Duration(f.drainTimeout)
	}
	if !serverNamed(cfg) {
		cfg.NATS.URL = defaultServer
	}
	return cfg, a.overlayPools(cmd, &cfg, &f.pool, &f.limit)
}

func (a *app) worker(cmd *cobra.Command, f *workerFlags) (err error) {
	ctx := cmd.Context()
	cfg, err := a.workerSettings(cmd, f)
	if err != nil {
		return err
	}
	log := a.logger(cfg.Log)
	wcfg, err := workerConfig(cfg, log)
	if err != nil {
		return err
	}
	health, err := serveHealth(cfg.HTTP, cfg.HTTPToken, log)
	if err != nil {
		return withCode(exitInfra, err)
	}
	defer health.close()
	wcfg.Observer = health.observer()
	to := connection(cfg, wcfg.Name, log)
	to.Unbuffered = true
	wcfg.Explain = to.Explain
	until := time.Now().Add(time.Duration(f.patience))
	failed := func(err error, wait time.Duration) {
		health.waits.Store(&err)
		log.Warn("cannot reach the server yet", zap.Error(err), zap.Duration("retry_in", wait.Round(time.Millisecond)))
	}
	nc, err := patiently(ctx, until, failed, func() (*nats.Conn, error) { return connectChecked(ctx, to, startTimeout) })
	if err != nil {
		return ended(ctx, log, err)
	}
	// Drain confirms the acknowledgements, so that nothing is under way here.
	defer nc.Close()
	scratch, err := newScratch(cfg.WorkDir)
	if err != nil {
		return withCode(exitInfra, err)
	}
	defer func() { err = errors.Join(err, scratch.remove()) }()
	if err := scratch.letPass(cfg.Pools); err != nil {
		return withCode(exitInfra, err)
	}
	wcfg.WorkDir = scratch.dir
	defer yieldToInterpreters(cfg.Nice, log)()
	// Only its start ends with ctx: a worker that was started drains.
	w, err := patiently(ctx, until, failed, func() (*worker.Worker, error) { return worker.Start(ctx, nc, wcfg) })
	if err != nil {
		if err = ended(ctx, log, err); err == nil {
			return nil
		}
		return startError(err)
	}
	health.serve(w)
	withdraw := announce(nc, w, log)
	endTelling := tellSystemd(ctx, w, log)
	defer endTelling()
	logReady(log, w, wcfg, nc)
	err = serveUntil(ctx, w, log)
	withdraw(err)
	return err
}

// announce makes the worker known to `molt status`, `molt drain` and the nats
// CLI. Without it jobs are served all the same.
func announce(nc *nats.Conn, w *worker.Worker, log *zap.Logger) (withdraw func(error)) {
	service, err := worker.Announce(nc, w)
	if err != nil {
		log.Warn("molt status and molt drain will not find this worker", zap.Error(err))
		return func(error) {}
	}
	return service.Close
}

// startTimeout bounds the question about JetStream that a worker may repeat: a cluster
// without a leader answers none, not even later.
const startTimeout = 3 * time.Second

// patiently tries again until the time, while the server is not ready, and tells of
// each failure but the last.
func patiently[T any](ctx context.Context, until time.Time, failed backoff.Notify, try func() (T, error)) (T, error) {
	patience := time.Until(until)
	if patience <= 0 {
		return try()
	}
	policy := backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(100*time.Millisecond),
		backoff.WithMaxInterval(3*time.Second),
		backoff.WithMaxElapsedTime(patience))
	return backoff.RetryNotifyWithData(func() (T, error) {
		t, err := try()
		if err != nil && !errors.Is(err, queue.ErrNoServer) && !errors.Is(err, queue.ErrNotReady) {
			return t, backoff.Permanent(err)
		}
		return t, err
	}, backoff.WithContext(policy, ctx), failed)
}

func logReady(log *zap.Logger, w *worker.Worker, cfg worker.Config, nc *nats.Conn) {
	pools := make([]string, len(cfg.Pools))
	for i, p := range cfg.Pools {
		pools[i] = describePool(p, w)
	}
	log.Info("worker ready", zap.String("name", cfg.Name), zap.Strings("pools", pools),
		zap.String("server", queue.ServerURL(nc)), zap.String("server_version", nc.ConnectedServerVersion()))
}

func describePool(p worker.PoolConfig, w *worker.Worker) string {
	return fmt.Sprintf("%s: %d × %s, Python %s", p.Stream.Pool, p.Interpreters, p.Mode.Name, w.Python(p.Stream.Pool))
}

// serveUntil waits for a signal, or somebody's wish, and drains, or for the
// worker's own end.
func serveUntil(ctx context.Context, w *worker.Worker, log *zap.Logger) error {
	select {
	case <-w.Done():
		return fmt.Errorf("cannot go on: the worker stopped: %w", w.Err())
	case <-w.DrainRequested():
	case <-ctx.Done():
	}
	log.Info("draining: no new jobs; a second signal ends at once")
	// A second signal ends the process; nothing else cuts the drain short.
	if err := w.Drain(context.WithoutCancel(ctx)); err != nil {
		return fmt.Errorf("cannot stop cleanly: %w", err)
	}
	log.Info("stopped")
	return nil
}

// ended turns the end of ctx into success: a worker that is told to stop before it
// serves has nothing to give back.
func ended(ctx context.Context, log *zap.Logger, err error) error {
	if ctx.Err() != nil {
		log.Info("stopped before it was ready")
		return nil
	}
	return err
}
