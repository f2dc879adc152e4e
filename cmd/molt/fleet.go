package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"github.com/spf13/cobra"

	"github.com/seed-0f8c9bb6/molt/queue"
	"github.com/seed-0f8c9bb6/molt/worker"
)

const (
	// discoverDefault is how long status and drain listen for workers at most.
	discoverDefault = 2 * time.Second
	// discoverQuiet is how long they listen after the latest answer.
	discoverQuiet = 500 * time.Millisecond
)

// fleet finds the workers of a server and talks to them.
type fleet struct {
	nc     *nats.Conn
	prefix string
	asking sync.Mutex
}

// member is a worker that was found.
type member struct {
	ID   string
	Name string
	info micro.Info
}

// openFleet connects a command that looks after workers.
func (a *app) openFleet(cmd *cobra.Command, c *connectionFlags) (*fleet, error) {
	cfg, err := a.loadConfig(cmd, c)
	if err != nil {
		return nil, err
	}
	cfg.Log.Level = clientLogLevel
	if !serverNamed(cfg) {
		return nil, withCode(exitNoServer, fmt.Errorf("%s needs a server: name one with --server or NATS_URL", cmd.CommandPath()))
	}
	nc, err := queue.Connect(clientConnection(cfg, "molt "+cmd.Name(), a.logger(cfg.Log)))
	if err != nil {
		return nil, err
	}
	prefix := cfg.Prefix
	if prefix == "" {
		prefix = queue.DefaultPrefix
	}
	return &fleet{nc: nc, prefix: prefix}, nil
}

// find returns the workers that answer, by name. It listens no longer than
// patience, and stops when a while has passed since the latest answer.
func (f *fleet) find(ctx context.Context, patience time.Duration) ([]member, error) {
	subject, err := micro.ControlSubject(micro.InfoVerb, worker.ServiceName, "")
	if err != nil {
		return nil, err
	}
	if !f.nc.IsConnected() {
		return nil, errors.New("cannot look for workers: the connection to NATS is lost, and tried again")
	}
	answers, end, err := f.ask(ctx, subject, nil, 4096)
	if err != nil {
		return nil, fmt.Errorf("cannot look for workers: %w", err)
	}
	defer end()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	quiet := make(<-chan time.Time)
	var found []member
	for {
		select {
		case m := <-answers:
			if nobodyThere(m) {
				return nil, nil
			}
			if one, ours := f.member(m.Data); ours {
				found = append(found, one)
			}
			quiet = time.After(discoverQuiet)
			continue
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-deadline.C:
		case <-quiet:
		}
		slices.SortFunc(found, func(a, b member) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID)) })
		return found, nil
	}
}

// ask sends a request and returns where its answers arrive, at most room of which can wait.
// That the server permits the request or its answers not is an error of the connection: it
// comes before the answer to a flush, and belongs to whoever asks at that moment.
func (f *fleet) ask(ctx context.Context, subject string, body []byte, room int) (answers <-chan *nats.Msg, end func(), err error) {
	f.asking.Lock()
	defer f.asking.Unlock()
	ctx, cancel := context.WithTimeout(ctx, discoverDefault)
	defer cancel()
	before := f.nc.LastError()
	arrived := make(chan *nats.Msg, room)
	inbox := f.nc.NewInbox()
	sub, err := f.nc.ChanSubscribe(inbox, arrived)
	if err != nil {
		return nil, nil, err
	}
	end = func() { _ = sub.Unsubscribe() }
	if err = f.nc.PublishRequest(subject, inbox, body); err == nil {
		err = f.nc.FlushWithContext(ctx)
	}
	if err == nil {
		err = forbidden(before, f.nc.LastError(), subject)
	}
	if err != nil {
		end()
		return nil, nil, err
	}
	return arrived, end, nil
}

// forbidden returns what the server refused since the connection's error was before.
func forbidden(before, now error, subject string) error {
	switch {
	case now == before || !errors.Is(now, nats.ErrPermissionViolation):
		return nil
	case strings.Contains(strings.ToLower(now.Error()), "subscription"):
		return fmt.Errorf("%w: the server refuses the answers: name a prefix that this user may subscribe to with --inbox-prefix", queue.ErrForbidden)
	}
	return fmt.Errorf("%w: the server refuses publishing to %s: use an operator's user, or permit it (docs/security.md)", queue.ErrForbidden, subject)
}

// nobodyThere recognises the server's word that nobody listens at a subject.
func nobodyThere(m *nats.Msg) bool {
	return len(m.Data) == 0 && m.Header.Get("Status") == "503"
}

func (f *fleet) member(data []byte) (member, bool) {
	var info micro.Info
	if json.Unmarshal(data, &info) != nil || info.Name != worker.ServiceName || info.Metadata[worker.MetaPrefix] != f.prefix {
		return member{}, false
	}
	return member{ID: info.ID, Name: info.Metadata[worker.MetaWorker], info: info}, true
}

// subject returns where the member takes an action.
func (m member) subject(action string) string {
	for _, e := range m.info.Endpoints {
		if e.Name == action {
			return e.Subject
		}
	}
	return ""
}

// serves reports whether the member has the pool.
func (m member) serves(pool string) bool {
	return slices.Contains(strings.Split(m.info.Metadata[worker.MetaPools], ","), pool)
}

// memberStatus is a worker's status with how it was found. Problem says why the
// status is missing.
type memberStatus struct {
	ID string `json:"id"`
	worker.Status
	Problem string `json:"problem,omitempty"`
	err     error  // what Problem says
}

// statuses asks every member at once.
func (f *fleet) statuses(ctx context.Context, members []member, patience time.Duration) []memberStatus {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	all := make([]memberStatus, len(members))
	var group sync.WaitGroup
	for i, m := range members {
		group.Go(func() {
			status, err := f.status(ctx, m)
			all[i] = memberStatus{ID: m.ID, Status: status}
			if err != nil {
				all[i].Name, all[i].Problem, all[i].err = m.Name, err.Error(), err
			}
		})
	}
	group.Wait()
	return all
}

// status asks one member.
func (f *fleet) status(ctx context.Context, m member) (worker.Status, error) {
	var s worker.Status
	answers, end, err := f.ask(ctx, m.subject(worker.ActionStatus), nil, 1)
	if err != nil {
		return s, fmt.Errorf("it can't be asked: %w", err)
	}
	defer end()
	select {
	case answer := <-answers:
		if nobodyThere(answer) {
			return s, errEnded
		}
		if err := json.Unmarshal(answer.Data, &s); err != nil {
			return s, fmt.Errorf("it answered what this molt does not understand: %w: use the worker's version", err)
		}
		return s, nil
	case <-ctx.Done():
		return s, fmt.Errorf("it did not answer: %w", context.Cause(ctx))
	}
}

// errEnded: nobody listens where a worker was found.
var errEnded = errors.New("it has ended")

// gone reports whether the member is known to have ended.
func (f *fleet) gone(ctx context.Context, m member) bool {
	ctx, cancel := context.WithTimeout(ctx, discoverDefault)
	defer cancel()
	_, err := f.status(ctx, m)
	return errors.Is(err, errEnded)
}

// choose returns the members of that name or id, or all.
func choose(members []member, who string) ([]member, error) {
	if len(members) == 0 {
		return nil, withCode(exitUnknown, errors.New("no worker was found: is one running on this server, under this --prefix, and may this user publish to $SRV.INFO.molt-worker?"))
	}
	if who == allWorkers {
		return members, nil
	}
	var chosen []member
	for _, m := range members {
		if m.Name == who || m.ID == who {
			chosen = append(chosen, m)
		}
	}
	if len(chosen) == 0 {
		return nil, withCode(exitUnknown, fmt.Errorf("no worker is called %q: found %s", who, names(members)))
	}
	return chosen, nil
}

// allWorkers is how the command line calls every worker.
const allWorkers = "all"

func names(members []member) string {
	var all []string
	for _, m := range members {
		all = append(all, m.Name)
	}
	return strings.Join(slices.Compact(all), ", ")
}
