package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.uber.org/zap"

	"github.com/seed-0f8c9bb6/molt/configs"
	"github.com/seed-0f8c9bb6/molt/queue"
	"github.com/seed-0f8c9bb6/molt/queue/embednats"
	"github.com/seed-0f8c9bb6/molt/worker"
)

// clientLogLevel is for commands that a person waits for; the file's is the
// worker's.
const clientLogLevel = "warn"

// askTimeout bounds one question to the server.
const askTimeout = 20 * time.Second

// sessionFlags are the flags of the commands that publish jobs and run them on
// an embedded server where none is named.
type sessionFlags struct {
	connectionFlags
	poolFlags
	limitFlags
	store string
}

func (s *sessionFlags) add(flags *pflag.FlagSet) {
	s.connectionFlags.addClient(flags)
	s.connectionFlags.addPool(flags)
	s.poolFlags.add(flags, "embedded worker's ")
	s.limitFlags.add(flags, "the pool's, embedded ")
	flags.StringVar(&s.store, "store", "", "`DIR` of the embedded server's streams (default: a temporary directory)")
	bindEnv(flags, "store", "MOLT_STORE")
}

// session is a client with, where no server was named, the server and the
// worker that serve it.
type session struct {
	nc     *nats.Conn
	client *queue.Client
	cfg    configs.Config

	scratch *scratch
	server  *embednats.Server
	worker  *worker.Worker
	// workerConn is the worker's own, as it would have elsewhere: sharing one
	// costs a tenth of the throughput.
	workerConn *nats.Conn
	cancel     context.CancelFunc
	// unyield ends what yieldToInterpreters began.
	unyield func()
}

// settings returns the configuration of a session. An embedded worker has
// interpreters many Python processes where nothing says otherwise; 0: one a CPU.
func (a *app) sessionSettings(cmd *cobra.Command, f *sessionFlags, interpreters int) (configs.Config, error) {
	cfg, err := a.loadConfig(cmd, &f.connectionFlags)
	if err != nil {
		return cfg, err
	}
	cfg.Log.Level = clientLogLevel
	if serverNamed(cfg) {
		for _, name := range poolFlagNames {
			if a.onCommandLine(cmd, name) {
				return cfg, usageErrorf("--%s describes an embedded worker, but a server is named: set it where that server's worker is configured", name)
			}
		}
		return cfg, nil
	}
	if len(cfg.Pools) == 0 {
		pool := configs.DefaultPool(queue.DefaultPool)
		if interpreters > 0 {
			pool.Interpreters = interpreters
		}
		// The publisher is this process, which waits for its results: caps
		// would only reserve disk space.
		pool.MaxBytes, pool.MaxMsgs = 0, 0
		cfg.Pools = []configs.Pool{pool}
	}
	return cfg, a.overlayPools(cmd, &cfg, &f.poolFlags, &f.limitFlags)
}

// openSession connects to the configured server, or starts the embedded one.
func (a *app) openSession(ctx context.Context, cfg configs.Config, f *sessionFlags) (*session, error) {
	log := a.logger(cfg.Log)
	s := &session{cfg: cfg}
	var err error
	if serverNamed(cfg) {
		s.nc, err = queue.Connect(clientConnection(cfg, "molt client", log))
	} else {
		store := f.store
		if store == "" {
			store = "temporary"
		}
		a.notef("no --server: using an embedded NATS server (store: %s)", store)
		err = s.startEmbedded(ctx, embednats.Options{StoreDir: f.store, Private: true}, cfg, log)
	}
	if err == nil {
		s.client, err = queue.NewClient(s.nc, queue.ClientOptions{Prefix: cfg.Prefix, Namespace: f.namespace, FullPatience: time.Duration(f.room)})
	}
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// connectChecked returns a connection to a server that has JetStream and says so
// within the time.
func connectChecked(ctx context.Context, c queue.Connection, within time.Duration) (*nats.Conn, error) {
	nc, err := queue.Connect(c)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	if err := queue.CheckJetStream(ctx, nc); err != nil {
		nc.Close()
		return nil, fmt.Errorf("cannot use this server: %w", err)
	}
	return nc, nil
}

// startEmbedded starts the server and the worker. What it has started when it
// fails is close's to stop.
func (s *session) startEmbedded(ctx context.Context, o embednats.Options, cfg configs.Config, log *zap.Logger) error {
	wcfg, err := workerConfig(cfg, log)
	if err != nil {
		return err
	}
	if err := s.startServer(o, cfg); err != nil {
		return withCode(exitInfra, err)
	}
	wcfg.WorkDir = s.scratch.dir
	wcfg.Alone = o.Private // nobody else can reach such a server
	if s.workerConn, err = s.connect(wcfg.Name); err != nil {
		return withCode(exitInfra, err)
	}
	// The worker outlives ctx, so that an interrupted command can let it finish
	// what runs; only its start ends with ctx.
	life, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s.cancel = cancel
	stop := context.AfterFunc(ctx, cancel)
	s.unyield = yieldToInterpreters(cfg.Nice, log)
	s.worker, err = worker.Start(life, s.workerConn, wcfg)
	stop()
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return startError(err)
	}
	return nil
}

// startServer starts the embedded server and connects the client.
func (s *session) startServer(o embednats.Options, cfg configs.Config) (err error) {
	if s.scratch, err = newScratch(cfg.WorkDir); err != nil {
		return err
	}
	if err := s.scratch.letPass(cfg.Pools); err != nil {
		return err
	}
	if o.StoreDir == "" {
		o.StoreDir = filepath.Join(s.scratch.dir, "store")
		if err := os.Mkdir(o.StoreDir, 0o700); err != nil {
			return fmt.Errorf("cannot make the store: %w", err)
		}
	}
	if s.server, err = embednats.Start(o); err != nil {
		return err
	}
	s.nc, err = s.connect("molt client")
	return err
}

// connect returns a connection to the embedded server.
func (s *session) connect(name string) (*nats.Conn, error) {
	return queue.Connect(queue.Connection{Name: name, URL: s.server.URL(), Token: s.server.Token()})
}

// startError says why a worker does not start. What the server holds against it
// has an exit code of its own.
func startError(err error) error {
	err = fmt.Errorf("cannot start the worker: %w", err)
	if errors.Is(err, queue.ErrShape) || errors.Is(err, queue.ErrForbidden) || errors.Is(err, queue.ErrNotReady) {
		return err
	}
	return withCode(exitInfra, err)
}

// whileServed returns a context that ends, with the reason, when the embedded
// worker ends by itself.
func (s *session) whileServed(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	if s.worker != nil {
		go func() {
			select {
			case <-s.worker.Done():
				cancel(withCode(exitInfra, fmt.Errorf("cannot go on: the embedded worker stopped: %w", s.worker.Err())))
			case <-ctx.Done():
			}
		}()
	}
	return ctx, func() { cancel(nil) }
}

// drain lets the embedded worker finish what runs for the given time.
func (s *session) drain(patience time.Duration) error {
	if s.worker == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return s.worker.Drain(ctx)
}

// close ends everything that the session started; jobs that still run are
// killed.
func (s *session) close() error {
	var errs []error
	if s.worker != nil {
		if err := s.drain(0); !errors.Is(err, worker.ErrDrainDeadline) {
			errs = append(errs, err)
		}
	}
	if s.cancel != nil {
		s.cancel()
	}
	if s.unyield != nil {
		s.unyield()
	}
	for _, nc := range []*nats.Conn{s.nc, s.workerConn} {
		if nc != nil {
			nc.Close()
		}
	}
	if s.server != nil {
		errs = append(errs, s.server.Close())
	}
	if s.scratch != nil {
		errs = append(errs, s.scratch.remove())
	}
	return errors.Join(errs...)
}
