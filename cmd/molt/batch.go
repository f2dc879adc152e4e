package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-0f8c9bb6/molt/configs"
	"github.com/seed-0f8c9bb6/molt/queue"
)

// batchFlags are the flags of batch.
type batchFlags struct {
	session sessionFlags
	output  string
	name    string
	fresh   bool
	room    durationFlag
}

func newBatchCommand(a *app) *cobra.Command {
	var f batchFlags
	cmd := &cobra.Command{
		Use:   "batch JOBS.jsonl [-o RESULTS.jsonl]",
		Short: "Run a file of jobs, one JSON object a line",
		Long: `Run every job of a file (- for standard input), one JSON object a line, and
write one result a line as they come. A job's id defaults to its line number.
Every line is checked before anything runs.

Run again with the same results file, batch finishes what is missing. The
batch's name covers the file's content, the pool and, embedded, the pool's
settings, so that the results of something else are never mistaken for these;
--name names it instead. A results file of another batch is refused unless
--fresh, which empties the file and runs every job again under a new name.`,
		Example: `  molt batch jobs.jsonl -o results.jsonl
  jq -c 'select(.status != "ok")' results.jsonl`,
		Args: exactlyOne("give one file of jobs, or - for standard input"),
		RunE: func(cmd *cobra.Command, args []string) error { return a.batch(cmd, &f, args[0]) },
	}
	flags := cmd.Flags()
	f.session.add(flags)
	flags.StringVarP(&f.output, "output", "o", "-", "results `FILE`; -: standard output")
	flags.StringVar(&f.name, "name", "", "the batch's name (default: of file name and content)")
	flags.BoolVar(&f.fresh, "fresh", false, "forget earlier results and run every job again")
	flags.Var(&f.room, "wait-for-room", "give up when the pool has been full for so long (default: never)")
	return cmd
}

func (a *app) batch(cmd *cobra.Command, f *batchFlags, path string) error {
	ctx := cmd.Context()
	cfg, err := a.sessionSettings(cmd, &f.session, 0)
	if err != nil {
		return err
	}
	jobs := &jobsFile{name: f.name, prefix: cfg.Prefix}
	jobs.timeoutMS, jobs.memoryBytes = limits(cmd, &f.session.limitFlags)
	if err := a.openJobs(ctx, jobs, path); err != nil {
		return err
	}
	defer jobs.close()
	name := f.name
	if name == "" {
		name = batchName(path, jobs, cfg, f.session.pool)
	}
	if err := queue.CheckID("batch", name); err != nil {
		return usageErrorf("cannot use --name: %w", err)
	}
	out, err := a.openResults(f.output, name, f.fresh, jobs)
	if err != nil {
		return err
	}
	err = a.runBatch(ctx, cfg, f, jobs, out)
	return errors.Join(err, out.close())
}

// runBatch runs what has no result yet.
func (a *app) runBatch(ctx context.Context, cfg configs.Config, f *batchFlags, jobs *jobsFile, out *resultsFile) error {
	b := newBatchRun(a, jobs, out, f.session.pool)
	b.room = time.Duration(f.room)
	a.notef("batch %s: %d jobs, pool %s", out.batch, len(jobs.lines), f.session.pool)
	if n := b.before; n > 0 {
		a.notef("%d of them are done: their results are in %s", n, out.path)
	}
	if b.remaining() == 0 {
		return b.conclude()
	}
	s, err := a.openSession(ctx, cfg, &f.session)
	if err != nil {
		return infraUnlessKnown(ctx, err)
	}
	b.client = s.client
	if err = jobs.checkSizes(out.batch, int(s.nc.MaxPayload())); err == nil {
		err = out.begin()
	}
	if err == nil {
		err = b.run(ctx, s)
	}
	if closeErr := s.close(); closeErr != nil {
		a.notef("cannot close cleanly: %v", closeErr)
	}
	if err == nil {
		return b.conclude()
	}
	if flushErr := out.flush(); flushErr != nil {
		return errors.Join(err, flushErr)
	}
	if ctx.Err() != nil {
		b.sayHowToResume()
		return withCode(exitInterrupted, nil)
	}
	return infraUnlessKnown(ctx, err)
}

// freshMark stands between a batch's name and what makes a --fresh one new.
const freshMark = "-fresh-"

// batchName names a batch by everything that can change its results.
func batchName(path string, jobs *jobsFile, cfg configs.Config, pool string) string {
	h := sha256.New()
	h.Write(jobs.digest)
	settings := map[string]any{"pool": pool, "timeout_ms": jobs.timeoutMS, "memory_bytes": jobs.memoryBytes}
	if !serverNamed(cfg) {
		for _, p := range cfg.Pools {
			if p.Name == pool {
				settings["embedded"] = embeddedSettings(p)
			}
		}
	}
	// Maps are written in the order of their keys.
	encoded, _ := json.Marshal(settings)
	h.Write(encoded)
	stem := "stdin"
	if path != "-" {
		stem = filepath.Base(path)
		stem = strings.TrimSuffix(stem, filepath.Ext(stem))
	}
	stem = strings.Map(func(r rune) rune {
		if r < 128 && queue.EscapeToken(string(r)) == string(r) {
			return r
		}
		return '-'
	}, queue.CutUTF8(stem, 64))
	return stem + "-" + hex.EncodeToString(h.Sum(nil)[:6])
}

// embeddedSettings are what of a pool can change a job's result. The later ones are left out
// where they are the default, so that a batch keeps the name that it had before them.
func embeddedSettings(p configs.Pool) []any {
	later := func(p configs.Pool) []any {
		return []any{p.Processes, p.OpenFiles, p.FileSize, p.User, p.ThirdParty, p.MaxJobBytes, p.ReplyAllow}
	}
	settings := []any{p.Isolation, p.Budget, p.Timeout, p.Memory, p.Python, p.OutputCap, p.Env, p.CPU, p.Preload, p.Imports}
	if !reflect.DeepEqual(later(p), later(configs.DefaultPool(p.Name))) {
		settings = append(settings, later(p)...)
	}
	return settings
}

// interruptPatience is how long an interrupted batch waits for the jobs that
// run on its embedded worker.
const interruptPatience = 2 * time.Second

func (b *batchRun) sayHowToResume() {
	done, total := len(b.jobs.lines)-b.remaining(), len(b.jobs.lines)
	if b.out.path == "" {
		b.app.notef("interrupted: %d of %d jobs are done; with -o FILE the same command would go on from there", done, total)
		return
	}
	b.app.notef("interrupted: %d of %d results are in %s; the same command finishes the rest", done, total, b.out.path)
}

// conclude prints the summary and returns the batch's exit code.
func (b *batchRun) conclude() error {
	if err := b.out.flush(); err != nil {
		return err
	}
	b.summary()
	if b.remaining() > 0 || b.counts[queue.StatusInfraError] > 0 {
		return withCode(exitInfra, fmt.Errorf("%d job(s) ended as infra_error and %d have no result: --fresh runs all again", b.counts[queue.StatusInfraError], b.remaining()))
	}
	return nil
}
