package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/seed-0f8c9bb6/molt/queue"
	"github.com/seed-0f8c9bb6/molt/worker"
)

// statusFlags are the flags of status.
type statusFlags struct {
	connection  connectionFlags
	json, watch bool
	interval    durationFlag
	timeout     durationFlag
}

func newStatusCommand(a *app) *cobra.Command {
	var f statusFlags
	cmd := &cobra.Command{
		Use:   "status [WORKER]",
		Short: "Show the workers of a server, their pools and interpreters",
		Long: `Show the workers that answer over NATS: whether each is ready, its pools, and of
every interpreter its state, executions, memory, loaded modules, age, and why the
one before it was replaced. WORKER, a name, shows that one alone.

It listens for --timeout at most, and stops half a second after the latest
answer: a worker that takes longer to answer is not shown, whatever --timeout
is. Once found, each has --timeout to tell its status.

--watch shows it anew every --interval, in place on a terminal, until Ctrl-C.
WORKER may also be a service id, as nats micro ls and --json show it. When no
worker is found the exit code is 6, when this user may not look 4.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return fmt.Errorf("%d arguments: give one worker's name, or none for all", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return a.status(cmd, &f, args) },
	}
	flags := cmd.Flags()
	f.connection.add(flags)
	f.interval, f.timeout = durationFlag(2*time.Second), durationFlag(discoverDefault)
	flags.BoolVar(&f.json, "json", false, "print JSON, one line for each look")
	flags.BoolVar(&f.watch, "watch", false, "look again and again")
	flags.Var(&f.interval, "interval", "with --watch: how often")
	flags.Var(&f.timeout, "timeout", "how long to listen for workers at most")
	return cmd
}

// fleetStatus is one look at the workers.
type fleetStatus struct {
	Time    time.Time      `json:"time"`
	Workers []memberStatus `json:"workers"`
}

func (a *app) status(cmd *cobra.Command, f *statusFlags, args []string) error {
	ctx := cmd.Context()
	who := allWorkers
	if len(args) == 1 {
		who = args[0]
	}
	if f.interval <= 0 || f.timeout <= 0 {
		return usageErrorf("cannot use a --interval or --timeout of 0: give a duration such as 2s")
	}
	fleet, err := a.openFleet(cmd, &f.connection)
	if err != nil {
		return err
	}
	defer fleet.nc.Close()
	for {
		look, err := fleet.look(ctx, who, time.Duration(f.timeout))
		if f.watch && ctx.Err() != nil {
			return nil // how watching ends
		}
		if err != nil && !f.watch {
			return err
		}
		if err := a.showLook(look, err, f); err != nil {
			return fmt.Errorf("cannot write the status: %w", err)
		}
		if !f.watch {
			return look.refusal()
		}
		select {
		case <-time.After(time.Duration(f.interval)):
		case <-ctx.Done():
			return nil // how watching ends
		}
	}
}

func (f *fleet) look(ctx context.Context, who string, patience time.Duration) (fleetStatus, error) {
	look := fleetStatus{Time: time.Now(), Workers: []memberStatus{}}
	members, err := f.find(ctx, patience)
	if err != nil {
		return look, err
	}
	if members, err = choose(members, who); err != nil {
		return look, err
	}
	look.Workers = f.statuses(ctx, members, patience)
	return look, nil
}

// refusal says that there is a worker which this user may not ask.
func (s fleetStatus) refusal() error {
	for _, w := range s.Workers {
		if errors.Is(w.err, queue.ErrForbidden) {
			return fmt.Errorf("%s: %w", w.Name, w.err)
		}
	}
	return nil
}

// showLook prints one look; of a watched fleet also that nobody is there.
func (a *app) showLook(look fleetStatus, problem error, f *statusFlags) error {
	var out bytes.Buffer
	if f.json {
		if err := json.NewEncoder(&out).Encode(look); err != nil {
			return err
		}
		_, err := a.Out.Write(out.Bytes())
		return err
	}
	if f.watch {
		fmt.Fprintf(&out, "%s\n", look.Time.Format(time.DateTime))
	}
	if problem != nil {
		fmt.Fprintln(&out, problem)
	}
	for _, w := range look.Workers {
		writeWorker(&out, w, look.Time)
	}
	text := out.String()
	if screen, terminal := a.Out.(*screen); terminal && f.watch {
		width, height, err := term.GetSize(int(screen.file.Fd()))
		if err == nil {
			text = fit(text, width, height)
		}
		_, err = io.WriteString(screen.file, inPlace(text))
		return err
	}
	if f.watch {
		text += "\n"
	}
	_, err := io.WriteString(a.Out, text)
	return err
}

// inPlace writes over what the terminal shows: to the corner, each line to its
// end, and nothing beneath.
func inPlace(text string) string {
	return "\x1b[H" + strings.ReplaceAll(text, "\n", "\x1b[K\n") + "\x1b[J"
}

// fit cuts a text to the size of a terminal: a line that wraps and a page that scrolls
// could not be written over. A size of 0 is unknown.
func fit(text string, width, height int) string {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if room := height - 1; height > 1 && len(lines) > room { // the cursor has the last one
		left := len(lines) - room + 1
		lines = append(lines[:room-1], fmt.Sprintf("… %d lines more: name one WORKER, or enlarge the terminal", left))
	}
	for i, line := range lines {
		if r := []rune(line); width > 0 && len(r) > width {
			lines[i] = string(r[:width-1]) + "…"
		}
	}
	return strings.Join(lines, "\n") + "\n"
}

func writeWorker(out io.Writer, w memberStatus, now time.Time) {
	if w.Problem != "" {
		fmt.Fprintf(out, "%s  %s\n", w.Name, w.Problem)
		return
	}
	state := "ready"
	if !w.Ready {
		why, _, _ := strings.Cut(w.NotReady, "\n") // the pool has the rest
		state = "not ready: " + why
	}
	fmt.Fprintf(out, "%s  %s\n", w.Name, state)
	fmt.Fprintf(out, "  molt %s, process %d on %s, up %s, %s\n", orDash(w.Version), w.PID, w.Host, age(now.Sub(w.StartedAt)), server(w.Connection, now))
	for _, p := range w.Pools {
		writePool(out, p, now)
	}
}

func server(c worker.ConnectionStatus, now time.Time) string {
	if c.State == "connected" {
		return "at " + c.Server
	}
	return c.State + " for " + age(now.Sub(c.Since))
}

func writePool(out io.Writer, p worker.PoolStatus, now time.Time) {
	state := p.State
	why, said, _ := strings.Cut(p.Reason, "\n")
	if why != "" {
		state += " (" + why + ")"
	}
	fmt.Fprintf(out, "  pool %s, %s, Python %s: %s; %d waiting, %d running, %d done, %d recycled\n",
		p.Name, p.Isolation, orDash(p.Python), state, p.Waiting, p.Running, p.Counts.JobsDone(), p.Counts.Recycled())
	for line := range strings.Lines(said) {
		fmt.Fprintf(out, "    | %s\n", strings.TrimSuffix(line, "\n"))
	}
	table := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(table, "    SLOT\tSTATE\tGENERATION\tEXECUTIONS\tMEMORY\tMODULES\tAGE\tLAST RECYCLE")
	for _, s := range p.Slots {
		memory, modules, old := "-", "-", "-"
		if s.PID != 0 {
			memory, modules = fmt.Sprintf("%.1f MiB", float64(s.RSSBytes)/(1<<20)), strconv.Itoa(s.Modules)
			old = age(time.Duration(s.AgeMS) * time.Millisecond)
		}
		fmt.Fprintf(table, "    %d\t%s\t%d\t%d\t%s\t%s\t%s\t%s\n", s.Slot, s.State, s.Generation, s.Executions, memory, modules, old, recycled(s.LastRecycle, now))
	}
	_ = table.Flush() // out is memory
}

func recycled(r *worker.LastRecycle, now time.Time) string {
	if r == nil {
		return "-"
	}
	text := string(r.Reason)
	if r.Reason == worker.RecycleTainted && r.Detail != "" {
		detail := []rune(r.Detail)
		if len(detail) > 40 {
			detail = append(detail[:39], '…')
		}
		text += ": " + strings.Join(strings.Fields(string(detail)), " ")
	}
	return text + ", " + age(now.Sub(r.At)) + " ago"
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// age writes a duration with two units at most: 42s, 3m5s, 7h20m, 4d3h.
func age(d time.Duration) string {
	d = max(d, 0)
	const day = 24 * time.Hour
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm%ds", d/time.Minute, d%time.Minute/time.Second)
	case d < day:
		return fmt.Sprintf("%dh%dm", d/time.Hour, d%time.Hour/time.Minute)
	}
	return fmt.Sprintf("%dd%dh", d/day, d%day/time.Hour)
}
