package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/seed-0f8c9bb6/molt/configs"
	"github.com/seed-0f8c9bb6/molt/queue"
	"github.com/seed-0f8c9bb6/molt/worker"
)

func executable(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestVersion(t *testing.T) {
	t.Parallel()
	got := molt(t, "version")
	want{stdout: []string{"molt ", "go1.", "nats-server v2.", "nats.go v1."}}.check(t, got)
	var v versions
	got = molt(t, "version", "--json")
	if err := json.Unmarshal([]byte(got.stdout), &v); err != nil || got.code != exitOK || v.Molt == "" || !strings.HasPrefix(v.NATSServer, "v2.") {
		t.Errorf("%s: %+v, %v", got.stdout, v, err)
	}
}

func TestUsage(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{
		"unknown command": {"rnu"}, "unknown flag": {"version", "--jsno"}, "argument": {"version", "x"}, "log format": {"version", "--log-format", "xml"},
	} {
		want{code: exitUsage, stderr: []string{"molt: ", "molt: see molt --help"}}.check(t, molt(t, args...))
		if t.Failed() {
			t.Fatal(name)
		}
	}
	want{stdout: []string{"Usage:", "Exit codes:"}}.check(t, molt(t))
}

// Every command is in the help, says what it does, and names the variable of
// each flag that has one.
func TestHelp(t *testing.T) {
	t.Parallel()
	top := molt(t, "--help")
	for _, command := range []string{"run", "batch", "submit", "result", "cancel", "worker", "dev", "bench", "isolation", "doctor", "version"} {
		want{stdout: []string{"\n  " + command + " "}}.check(t, top)
		want{stdout: []string{"Usage:\n  molt " + command}}.check(t, molt(t, command, "--help"))
	}
	a := &app{}
	for _, cmd := range newRoot(a).Commands() {
		checkFlagsHelp(t, cmd)
	}
}

func checkFlagsHelp(t *testing.T, cmd *cobra.Command) {
	t.Helper()
	usage := cmd.Flags().FlagUsages()
	for _, twice := range regexp.MustCompile(`\(default[^)]*\).*\(default.*`).FindAllString(usage, -1) {
		t.Errorf("%s: two defaults: %s", cmd.Name(), twice)
	}
	for _, unset := range regexp.MustCompile(`--\S+ (string|int|DURATION|SIZE)\s+$`).FindAllString(usage, -1) {
		t.Errorf("%s: a flag without an explanation: %s", cmd.Name(), unset)
	}
}

// Every exit code that a command can end with is in the help's table.
func TestExitCodesAreDocumented(t *testing.T) {
	t.Parallel()
	for _, code := range []int{exitOK, exitFailure, exitUsage, exitInfra, exitNoServer, exitPending, exitUnknown, exitDrain, exitRefused, exitTimeout, exitInterrupted, exitMemory} {
		if !regexp.MustCompile(fmt.Sprintf(`(?m)^ +%d  `, code)).MatchString(exitCodes) {
			t.Errorf("%d is not in the table", code)
		}
	}
}

func TestExitCode(t *testing.T) {
	t.Parallel()
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	wrap := func(err error) error { return fmt.Errorf("cannot: %w", err) }
	tests := map[string]struct {
		ctx  context.Context
		err  error
		want int
	}{
		"none":             {t.Context(), nil, exitOK},
		"any":              {t.Context(), errors.New("x"), exitFailure},
		"usage":            {t.Context(), wrap(usageErrorf("x")), exitUsage},
		"interrupted":      {ended, wrap(context.Canceled), exitInterrupted},
		"cancelled inside": {t.Context(), wrap(context.Canceled), exitFailure},
		"code beats all":   {ended, wrap(withCode(exitPending, queue.ErrNoServer)), exitPending},
		"no server":        {t.Context(), wrap(queue.ErrNoServer), exitNoServer},
		"no JetStream":     {t.Context(), wrap(queue.ErrNoJetStream), exitNoServer},
		"no pool":          {t.Context(), wrap(queue.ErrNoPool), exitNoServer},
		"shape":            {t.Context(), wrap(queue.ErrShape), exitNoServer},
		"too large":        {t.Context(), wrap(queue.ErrTooLarge), exitUsage},
		"id used":          {t.Context(), wrap(queue.ErrIDUsed), exitUsage},
		"drain deadline":   {t.Context(), wrap(worker.ErrDrainDeadline), exitDrain},
	}
	for name, test := range tests {
		if got := exitCode(test.ctx, test.err); got != test.want {
			t.Errorf("%s: %d, want %d", name, got, test.want)
		}
	}
}

// The example configurations describe workers that can be started.
func TestExampleConfigurations(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../configs/*.yaml")
	if err != nil || len(files) < 3 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, file := range files {
		cfg, err := configs.Load(file)
		if err == nil {
			err = checkModes(&cfg)
		}
		if err == nil {
			_, err = workerConfig(cfg, zap.NewNop())
		}
		if err != nil {
			t.Error(err)
		}
	}
}

// What is said of a wrong value names what the person wrote.
func TestBlame(t *testing.T) {
	t.Parallel()
	cfg := configs.Default()
	cfg.Pools = []configs.Pool{configs.DefaultPool("a"), configs.DefaultPool("b")}
	cfg.Pools[0].Budget.Executions, cfg.Pools[1].Budget.Executions, cfg.Nice, cfg.Prefix = -1, -1, 99, "a.b"
	a := &app{}
	root := newRoot(a)
	cmd, _, err := root.Find([]string{"worker"})
	if err != nil {
		t.Fatal(err)
	}
	for flag, value := range map[string]string{"budget": "-1", "nice": "99"} {
		if err := cmd.Flags().Set(flag, value); err != nil {
			t.Fatal(err)
		}
	}
	a.environ = map[string]string{"nice": "MOLT_NICE"}
	got := a.blame(cmd, errors.Join(cfg.Validate(), errors.New("something else"))).Error()
	for _, want := range []string{"cannot use --budget: -1", "cannot use MOLT_NICE: 99", "the configuration: prefix", "something else"} {
		if strings.Count(got, want) != 1 {
			t.Errorf("%q has %q %d times", got, want, strings.Count(got, want))
		}
	}
	if a.blame(cmd, nil) != nil {
		t.Error("nothing is to blame for nothing")
	}
}

// Lines of one message are sampled when they come by the thousand.
func TestLogsAreSampled(t *testing.T) {
	t.Parallel()
	for level, all := range map[string]bool{"info": false, "debug": true} {
		errs := newConsole()
		a := &app{stdio: stdio{Err: errs}}
		log := a.logger(configs.Log{Level: level, Format: "json"})
		for range 2000 {
			log.Warn("rejected a job")
		}
		log.Info("another message")
		lines := strings.Count(errs.String(), "rejected a job")
		if all && lines != 2000 || !all && (lines < 20 || lines > 1000) || !strings.Contains(errs.String(), "another message") {
			t.Errorf("%s: %d lines of 2000", level, lines)
		}
	}
}
