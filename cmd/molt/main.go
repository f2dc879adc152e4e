package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() { os.Exit(mainCode()) }

func mainCode() int {
	ctx, cancel := untilSignal()
	defer cancel()
	return run(ctx, os.Args[1:], stdio{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Env: os.LookupEnv})
}

// untilSignal returns a context that the first signal ends. By then the default
// handling is back: a second signal ends the process at once, and its
// interpreters die with it.
func untilSignal() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		select {
		case <-signals:
		case <-ctx.Done():
		}
		signal.Stop(signals)
		cancel()
	}()
	return ctx, cancel
}

// stdio is what a command has of the outside world.
type stdio struct {
	In       io.Reader
	Out, Err io.Writer
	// Env looks up an environment variable.
	Env func(name string) (string, bool)
}

// run executes one command line and returns its exit code.
func run(ctx context.Context, args []string, s stdio) int {
	a := &app{stdio: s}
	a.useScreens()
	root := newRoot(a)
	root.SetArgs(args)
	root.SetIn(a.In)
	root.SetOut(a.Out)
	root.SetErr(a.Err)
	err := root.ExecuteContext(ctx)
	if err != nil && !a.parsed {
		// The command's own code has not begun: the command line is wrong.
		err = usageError(err)
	}
	return a.report(ctx, err)
}
