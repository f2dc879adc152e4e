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
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// After the first signal the default handling is back: a second one ends
	// the process at once, and its interpreters die with it.
	defer context.AfterFunc(ctx, stop)()
	return run(ctx, os.Args[1:], stdio{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Env: os.LookupEnv})
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
