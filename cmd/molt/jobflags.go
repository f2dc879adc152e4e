package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-0f8c9bb6/molt/queue"
)

// maxRead bounds code and standard input: NATS takes no larger message.
const maxRead = 64 << 20

// stdinHint is how long molt waits for standard input before it says so.
const stdinHint = 2 * time.Second

// jobFlags describe one job.
type jobFlags struct {
	code   string
	inputs string
	env    []string
	stdin  string
}

const stdinRule = `Standard input becomes the job's when it is a file or a pipe and the code
mentions it (stdin, input(…), open(0), read(0)): it is read to its end before
the job starts. --stdin FILE sends a file, --stdin - whatever comes, --stdin
none nothing. What a person types at a terminal is only sent with --stdin -.`

func (j *jobFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	// What stands after FILE or CODE belongs to the job.
	flags.SetInterspersed(false)
	flags.StringVarP(&j.code, "code", "c", "", "Python source to run, instead of FILE")
	flags.StringVar(&j.inputs, "inputs", "", "`JSON` object whose members are bound as globals")
	flags.StringArrayVar(&j.env, "env", nil, "`NAME=VALUE` in the job's environment; may be repeated")
	flags.StringVar(&j.stdin, "stdin", "", "the job's standard input: `FILE`, - or none")
}

// job reads what the command line describes.
func (a *app) job(ctx context.Context, cmd *cobra.Command, j *jobFlags, l *limitFlags, args []string) (queue.Job, error) {
	code, args, err := a.source(ctx, cmd, j, args)
	if err != nil {
		return queue.Job{}, usageError(err)
	}
	job := queue.Job{Code: code, Args: args}
	job.TimeoutMS, job.MemoryBytes = limits(cmd, l)
	if j.inputs != "" {
		job.Inputs = json.RawMessage(j.inputs)
	}
	for _, pair := range j.env {
		name, value, ok := strings.Cut(pair, "=")
		if !ok {
			return queue.Job{}, usageErrorf("cannot use --env %q: write NAME=VALUE", pair)
		}
		if job.Env == nil {
			job.Env = make(map[string]string)
		}
		job.Env[name] = value
	}
	codeFromStdin := !cmd.Flags().Changed("code") && len(cmd.Flags().Args()) > 0 && cmd.Flags().Arg(0) == "-"
	if job.Stdin, err = a.jobStdin(ctx, j.stdin, code, codeFromStdin); err != nil {
		return queue.Job{}, err
	}
	if err := queue.ValidateJob(&job); err != nil {
		return queue.Job{}, usageErrorf("cannot use this job: %w", err)
	}
	return job, nil
}

// source returns the code and the job's arguments.
func (a *app) source(ctx context.Context, cmd *cobra.Command, j *jobFlags, args []string) (string, []string, error) {
	if cmd.Flags().Changed("code") {
		return j.code, args, nil
	}
	if len(args) == 0 {
		return "", nil, errors.New("nothing to run: give a FILE, - for standard input, or -c CODE")
	}
	var data []byte
	var err error
	if args[0] == "-" {
		data, err = a.readInput(ctx, "the code")
	} else {
		data, err = readFile(args[0])
	}
	if err != nil {
		return "", nil, fmt.Errorf("cannot read the code: %w", err)
	}
	// A byte order mark is not part of the source.
	return strings.TrimPrefix(string(data), "\ufeff"), args[1:], nil
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return readLimited(f, path)
}

func readLimited(r io.Reader, name string) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxRead+1))
	if err == nil && len(data) > maxRead {
		err = fmt.Errorf("%s has more than %d bytes, which no NATS server takes: send less", name, maxRead)
	}
	return data, err
}

var stdinReader = regexp.MustCompile(`stdin|fileinput|\binput\s*\(|\b(open|read)\s*\(\s*0\b`)

// readsStdin finds code that asks for standard input. It need not be exact: --stdin says
// what is meant where it errs. The words come first: the expression takes a second for as
// much code as a message holds.
func readsStdin(code string) bool {
	words := []string{"stdin", "input", "open", "read"}
	return slices.ContainsFunc(words, func(word string) bool { return strings.Contains(code, word) }) && stdinReader.MatchString(code)
}

// jobStdin returns the job's standard input; nil: none. Python reads only when
// asked; a job gets its input with it, so that asking is told by the code: a
// pipe that some parent left open must not hold up a job that never reads.
func (a *app) jobStdin(ctx context.Context, flag, code string, taken bool) (*string, error) {
	var data []byte
	var err error
	switch {
	case flag == "none", flag == "" && (taken || a.inputIsInteractive() || !readsStdin(code)):
		return nil, nil
	case flag == "-" && taken:
		return nil, usageErrorf("cannot read both the code and --stdin from standard input: put one into a file")
	case flag == "-", flag == "":
		data, err = a.readInput(ctx, "the job's standard input (--stdin none sends none)")
	default:
		data, err = readFile(flag)
	}
	if err != nil {
		return nil, usageErrorf("cannot read the job's standard input: %w", err)
	}
	text := string(data)
	return &text, nil
}

// inputIsInteractive reports whether standard input is neither a file nor a pipe.
func (a *app) inputIsInteractive() bool {
	f, ok := a.In.(*os.File)
	if !ok {
		return a.In == nil
	}
	info, err := f.Stat()
	return err != nil || info.Mode()&os.ModeCharDevice != 0
}

// readInput reads standard input to its end, and says so when nothing comes.
func (a *app) readInput(ctx context.Context, what string) ([]byte, error) {
	if a.In == nil {
		return nil, errors.New("standard input is closed")
	}
	type read struct {
		data []byte
		err  error
	}
	// A blocking read can't be interrupted; after ctx the process ends, and the
	// goroutine with it.
	done := make(chan read, 1)
	go func() {
		data, err := readLimited(a.In, "standard input")
		done <- read{data, err}
	}()
	hint := time.NewTimer(stdinHint)
	defer hint.Stop()
	for {
		select {
		case r := <-done:
			return r.data, r.err
		case <-hint.C:
			a.notef("reading %s until its end", what)
		case <-ctx.Done():
			return nil, withCode(exitInterrupted, context.Cause(ctx))
		}
	}
}
