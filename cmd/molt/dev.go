package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/seed-0f8c9bb6/molt/configs"
	"github.com/seed-0f8c9bb6/molt/queue"
	"github.com/seed-0f8c9bb6/molt/queue/embednats"
)

// devFlags are the flags of dev.
type devFlags struct {
	pool    poolFlags
	limit   limitFlags
	port    int
	store   string
	noStore bool
}

func newDevCommand(a *app) *cobra.Command {
	var f devFlags
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run a NATS server and a worker for development until Ctrl-C",
		Long: `Run a NATS server with JetStream on 127.0.0.1 and a worker of the pool "default"
until Ctrl-C. Jobs and results are kept in a directory and survive restarts,
unless --no-store keeps them only while this process lives.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.dev(cmd, &f) },
	}
	flags := cmd.Flags()
	f.pool.add(flags, "")
	f.limit.add(flags, "")
	flags.IntVar(&f.port, "port", 4222, "port on 127.0.0.1; 0: a free one")
	flags.StringVar(&f.store, "store", "", "`DIR` of the streams (default: molt/dev in the user's cache directory)")
	flags.BoolVar(&f.noStore, "no-store", false, "keep streams in a temporary directory that the end removes")
	bindEnv(flags, "port", "MOLT_PORT")
	bindEnv(flags, "store", "MOLT_STORE")
	return cmd
}

func (a *app) dev(cmd *cobra.Command, f *devFlags) error {
	ctx := cmd.Context()
	store, err := f.storeDir(cmd.Flags().Changed("store") && a.onCommandLine(cmd, "store"))
	if err != nil {
		return err
	}
	if f.port < 0 || f.port > 65535 {
		return usageErrorf("cannot use --port %d: choose one of 1 to 65535, or 0 for a free one", f.port)
	}
	cfg := configs.Default()
	pool := configs.DefaultPool(queue.DefaultPool)
	pool.MaxBytes = 0 // a cap would reserve disk space
	cfg.Pools = []configs.Pool{pool}
	if err := a.overlayPools(cmd, &cfg, &f.pool, &f.limit); err != nil {
		return err
	}
	log := a.logger(cfg.Log)
	s := &session{cfg: cfg}
	port := f.port
	err = s.startEmbedded(ctx, embednats.Options{Port: port, StoreDir: store}, cfg, log)
	if err == nil {
		wcfg, _ := workerConfig(cfg, log)
		a.announceDev(s.server.URL(), store, describePool(wcfg.Pools[0], s.worker))
		withdraw := announce(s.workerConn, s.worker, log)
		err = serveUntil(ctx, s.worker, log)
		withdraw(err)
	} else {
		err = ended(ctx, log, err)
	}
	return errors.Join(err, s.close())
}

// storeDir returns where streams are kept; empty: in a temporary directory.
func (f *devFlags) storeDir(given bool) (string, error) {
	switch {
	case f.noStore && given:
		return "", usageErrorf("cannot use both --store and --no-store: give one")
	case f.noStore:
		return "", nil
	case f.store != "":
		return f.store, nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", usageErrorf("cannot choose a directory for the streams: %w: name one with --store, or use --no-store", err)
	}
	return filepath.Join(cache, "molt", "dev"), nil
}

func (a *app) announceDev(url, store, pool string) {
	if store == "" {
		store = "temporary"
	}
	a.notef("NATS server at %s (store: %s)", url, store)
	a.notef("pool %s", pool)
	_, _ = fmt.Fprintf(a.Err, `molt: ready; in another terminal:
  export NATS_URL=%s
  molt run -c '1 + 1'
  molt submit script.py
  molt batch jobs.jsonl -o results.jsonl
molt: Ctrl-C ends
`, url)
}
