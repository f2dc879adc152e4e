package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"github.com/seed-0f8c9bb6/molt/configs"
	"github.com/seed-0f8c9bb6/molt/queue"
	"github.com/seed-0f8c9bb6/molt/queue/embednats"
	"github.com/seed-0f8c9bb6/molt/worker"
)

// doctorFlags are the flags of doctor.
type doctorFlags struct {
	connection connectionFlags
	pool       poolFlags
	limit      limitFlags
}

func newDoctorCommand(a *app) *cobra.Command {
	var f doctorFlags
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check Python, the NATS server, its streams and the configuration",
		Long: `Check the configuration, each Python interpreter that it names, that each pool's
interpreters start (with RestrictedPython where its mode needs that, the modules to
preload, and as the user that it names), the NATS server, its JetStream and the
streams' shape; without a server, that a job runs on the embedded one. Nothing is created or changed. One line a check; exit code 1 when
one fails.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.doctor(cmd, &f) },
	}
	f.connection.addClient(cmd.Flags())
	f.pool.add(cmd.Flags(), "")
	f.limit.add(cmd.Flags(), "")
	return cmd
}

// diagnosis prints one line a check.
type diagnosis struct {
	app    *app
	failed int
}

func (d *diagnosis) check(what, detail string, err error) bool {
	if err == nil {
		_, _ = fmt.Fprintf(d.app.Out, "✓ %s: %s\n", what, detail)
		return true
	}
	d.failed++
	for line := range strings.SplitSeq(err.Error(), "\n") {
		_, _ = fmt.Fprintf(d.app.Out, "✗ %s: %s\n", what, line)
	}
	return false
}

func (a *app) doctor(cmd *cobra.Command, f *doctorFlags) error {
	ctx := cmd.Context()
	d := &diagnosis{app: a}
	cfg, wcfg, err := a.doctorSettings(cmd, f)
	detail := "defaults, no file named"
	if f.connection.config != "" {
		detail = fmt.Sprintf("%s, %d pool(s)", f.connection.config, len(cfg.Pools))
	}
	if d.check("configuration", detail, err) {
		pythonOK := d.checkPythons(ctx, wcfg) && d.checkPools(ctx, wcfg)
		switch {
		case serverNamed(cfg):
			d.checkServer(ctx, clientConnection(cfg, "molt doctor", a.logger(cfg.Log)), wcfg)
		case pythonOK:
			detail, err := a.tryEmbedded(ctx, cfg)
			d.check("embedded NATS server", detail, err)
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if d.failed > 0 {
		return withCode(exitFailure, nil)
	}
	return nil
}

func (a *app) doctorSettings(cmd *cobra.Command, f *doctorFlags) (configs.Config, worker.Config, error) {
	cfg, err := a.loadConfig(cmd, &f.connection)
	if err != nil {
		return cfg, worker.Config{}, err
	}
	cfg.Log.Level = clientLogLevel
	if err := a.overlayPools(cmd, &cfg, &f.pool, &f.limit); err != nil {
		return cfg, worker.Config{}, err
	}
	wcfg, err := workerConfig(cfg, nil)
	return cfg, wcfg, err
}

// checkPythons checks each interpreter that some pool names once.
func (d *diagnosis) checkPythons(ctx context.Context, cfg worker.Config) bool {
	ok := true
	seen := make(map[string]bool)
	for _, p := range cfg.Pools {
		if !seen[p.Python] {
			seen[p.Python] = true
			detail, err := tryPython(ctx, p.Python)
			ok = d.check("Python", detail, err) && ok
		}
	}
	return ok
}

// checkPools starts an interpreter of each pool: that takes the mode's packages, what it
// preloads, its limits and the user that it runs as.
func (d *diagnosis) checkPools(ctx context.Context, cfg worker.Config) bool {
	ok := true
	for _, p := range cfg.Pools {
		hello, err := worker.TryPool(ctx, cfg.WorkDir, p)
		detail := "an interpreter starts in mode " + p.Mode.Name
		if len(hello.Layers) > 0 {
			detail += " with " + strings.Join(hello.Layers, ", ")
		}
		ok = d.check("pool "+p.Stream.Pool, detail, err) && ok
	}
	return ok
}

// The oldest CPython that the harness runs on.
const (
	oldestMajor = 3
	oldestMinor = 10
)

const pythonRemedy = "install CPython 3.10 or newer, or name another interpreter with --python"

// tryPython starts the interpreter and asks it what it is.
func tryPython(ctx context.Context, python string) (string, error) {
	path, err := exec.LookPath(python)
	if err != nil {
		return "", fmt.Errorf("cannot find %q: %w: %s", python, err, pythonRemedy)
	}
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "-I", "-c",
		"import json,sys; print(json.dumps([sys.implementation.name, list(sys.version_info[:3]), sys.executable]))")
	cmd.WaitDelay = time.Second // a wrapper's children may hold the pipe open
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("cannot start %s: %w: %s", path, err, pythonRemedy)
	}
	var name, executable string
	var v [3]int
	if err := json.Unmarshal(out, &[]any{&name, &v, &executable}); err != nil || name == "" {
		return "", fmt.Errorf("cannot use %s: it did not answer as a Python does: %s", path, pythonRemedy)
	}
	described := fmt.Sprintf("%s %d.%d.%d at %s", name, v[0], v[1], v[2], executable)
	if name != "cpython" || v[0] != oldestMajor || v[1] < oldestMinor {
		return "", fmt.Errorf("cannot use %s: %s", described, pythonRemedy)
	}
	return described, nil
}

// checkServer checks the connection, JetStream and what streams there are.
func (d *diagnosis) checkServer(ctx context.Context, c queue.Connection, cfg worker.Config) {
	nc, err := queue.Connect(c)
	if !d.check("NATS server", "connected", err) {
		return
	}
	defer nc.Close()
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	if !d.check("JetStream", "enabled on "+queue.ServerURL(nc), queue.CheckJetStream(ctx, nc)) {
		return
	}
	for _, p := range cfg.Pools {
		detail, err := checkShape(nc, func(js jetstream.JetStream) error {
			_, err := queue.EnsurePool(ctx, js, cfg.Subjects, p.Stream)
			return err
		})
		d.check("stream "+cfg.Subjects.JobsStream(p.Stream.Pool), detail, err)
	}
	detail, err := checkShape(nc, func(js jetstream.JetStream) error {
		return queue.EnsureResults(ctx, js, cfg.Subjects, cfg.Results)
	})
	d.check("streams "+strings.Join([]string{cfg.Subjects.ResultsStream(), cfg.Subjects.DeadStream(), cfg.Subjects.ControlStream()}, ", "), detail, err)
}

// checkShape calls ensure, which creates what is missing, on a JetStream that
// only says so.
func checkShape(nc *nats.Conn, ensure func(jetstream.JetStream) error) (string, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return "", err
	}
	dry := &dryRun{JetStream: js}
	if err := ensure(dry); err != nil {
		return "", err
	}
	if len(dry.missing) > 0 {
		return "not there yet: the first worker creates " + strings.Join(dry.missing, ", "), nil
	}
	return "as molt needs it", nil
}

// tryEmbedded runs one job the way that run does without a server.
func (a *app) tryEmbedded(ctx context.Context, cfg configs.Config) (detail string, err error) {
	cfg.Pools = cfg.Pools[:1]
	cfg.Pools[0].MaxBytes, cfg.Pools[0].Interpreters = 0, 1
	s := &session{cfg: cfg}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := s.startEmbedded(ctx, embednats.Options{Private: true}, cfg, a.logger(cfg.Log)); err != nil {
		return "", err
	}
	if s.client, err = queue.NewClient(s.nc, queue.ClientOptions{Prefix: cfg.Prefix}); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	r, err := a.waitForResult(ctx, s, &sessionFlags{connectionFlags: connectionFlags{pool: cfg.Pools[0].Name}}, queue.Job{Code: "1 + 1"}, 0)
	if err != nil {
		return "", err
	}
	if r.Status != queue.StatusOK || r.Repr == nil || *r.Repr != "2" {
		return "", fmt.Errorf("cannot run 1 + 1: %s", statusNote(r))
	}
	return "a job ran in mode " + cfg.Pools[0].Isolation, nil
}
