package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/seed-0f8c9bb6/molt/configs"
)

// app is one execution of the program.
type app struct {
	stdio
	// screen is Err where that is a terminal, else nil.
	screen *screen
	// parsed is true once the command line was understood.
	parsed bool
	// environ names the variable that set a flag, by the flag's name.
	environ map[string]string

	logLevel, logFormat string
}

// commands lists every command, in the order of the help.
var commands = []func(*app) *cobra.Command{
	newRunCommand,
	newBatchCommand,
	newSubmitCommand,
	newResultCommand,
	newCancelCommand,
	newWorkerCommand,
	newStatusCommand,
	newDrainCommand,
	newDevCommand,
	newBenchCommand,
	newIsolationCommand,
	newDeadCommand,
	newDoctorCommand,
	newVersionCommand,
}

func newRoot(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "molt",
		Short: "Run Python jobs from a NATS JetStream queue",
		Long: `molt runs Python jobs from a NATS JetStream queue on persistent interpreters.

Name a server with --server, NATS_URL, a context or --config. Without one, run
and batch start an embedded server and a worker in the same process. Flags beat
environment variables, which beat the configuration file.

` + exitCodes,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		if err := a.applyEnvironment(cmd); err != nil {
			return err
		}
		if err := a.checkLogFlags(cmd); err != nil {
			return err
		}
		a.parsed = true
		return nil
	}
	flags := root.PersistentFlags()
	flags.StringVar(&a.logLevel, "log-level", "", "debug, info, warn or error (default info for worker and dev, else warn)")
	flags.StringVar(&a.logFormat, "log-format", "", "console or json (default console)")
	bindEnv(flags, "log-level", "MOLT_LOG_LEVEL")
	bindEnv(flags, "log-format", "MOLT_LOG_FORMAT")
	root.CompletionOptions.HiddenDefaultCmd = true
	for _, command := range commands {
		root.AddCommand(command(a))
	}
	return root
}

// A thousand jobs a second that are all rejected are not a thousand lines: of
// lines with the same message sampleFirst are written in a second, and then each
// sampleThen-th.
const (
	sampleFirst = 20
	sampleThen  = 100
)

func (a *app) checkLogFlags(cmd *cobra.Command) error {
	cfg := configs.Default()
	if a.logLevel != "" {
		cfg.Log.Level = a.logLevel
	}
	if a.logFormat != "" {
		cfg.Log.Format = a.logFormat
	}
	return a.blame(cmd, cfg.Validate())
}

// notef prints one line for the person to standard error.
func (a *app) notef(format string, args ...any) {
	line := strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", " ")
	_, _ = fmt.Fprintf(a.Err, "molt: %s\n", line)
}

// logger returns a logger to standard error; flags beat the configuration.
func (a *app) logger(log configs.Log) *zap.Logger {
	if a.logLevel != "" {
		log.Level = a.logLevel
	}
	if a.logFormat != "" {
		log.Format = a.logFormat
	}
	level, err := zapcore.ParseLevel(log.Level)
	if err != nil {
		level = zapcore.InfoLevel
	}
	encoding := zap.NewProductionEncoderConfig()
	encoding.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	encoding.EncodeDuration = zapcore.StringDurationEncoder
	encoder := zapcore.NewJSONEncoder(encoding)
	if log.Format == "console" {
		encoding.EncodeTime = zapcore.TimeEncoderOfLayout("15:04:05.000")
		encoding.EncodeLevel = zapcore.CapitalLevelEncoder
		encoder = zapcore.NewConsoleEncoder(encoding)
	}
	core := zapcore.NewCore(encoder, zapcore.Lock(zapcore.AddSync(a.Err)), level)
	if level > zapcore.DebugLevel {
		core = zapcore.NewSamplerWithOptions(core, time.Second, sampleFirst, sampleThen)
	}
	return zap.New(core)
}
