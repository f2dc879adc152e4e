package worker_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nats.go/micro"

	"github.com/seed-0f8c9bb6/molt/queue"
	"github.com/seed-0f8c9bb6/molt/worker"
)

// announced is a worker that is known over NATS, and an operator.
type announced struct {
	*service
	nc   *nats.Conn
	info micro.Info
}

func announce(t *testing.T, change func(*worker.Config)) *announced {
	t.Helper()
	s := &announced{service: serve(t, change)}
	s.nc = connect(t, s.url)
	presence, err := worker.Announce(connect(t, s.url), s.worker)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { presence.Close(s.worker.Drain(context.Background())) })
	s.protocol(micro.InfoVerb, &s.info)
	return s
}

// protocol asks as any client of the protocol does.
func (s *announced) protocol(verb micro.Verb, into any) {
	s.t.Helper()
	subject, err := micro.ControlSubject(verb, worker.ServiceName, "")
	if err != nil {
		s.t.Fatal(err)
	}
	m, err := s.nc.RequestWithContext(testContext(s.t), subject, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := json.Unmarshal(m.Data, into); err != nil {
		s.t.Fatal(err)
	}
}

// subject returns where an action is taken, as discovery tells it.
func (s *announced) subject(action string) string {
	s.t.Helper()
	for _, e := range s.info.Endpoints {
		if e.Name == action {
			return e.Subject
		}
	}
	s.t.Fatalf("no endpoint %q among %v", action, s.info.Endpoints)
	return ""
}

// order asks for an action and returns where the answers arrive.
func (s *announced) order(action, body string) *nats.Subscription {
	s.t.Helper()
	inbox := s.nc.NewInbox()
	sub, err := s.nc.SubscribeSync(inbox)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.nc.PublishRequest(s.subject(action), inbox, []byte(body)); err != nil {
		s.t.Fatal(err)
	}
	return sub
}

// answer returns the next answer, or what was refused.
func (s *announced) answer(sub *nats.Subscription) (worker.Answer, error) {
	s.t.Helper()
	m, err := sub.NextMsgWithContext(testContext(s.t))
	if err != nil {
		s.t.Fatal(err)
	}
	var a worker.Answer
	if why := m.Header.Get(micro.ErrorHeader); why != "" {
		return a, errors.New(m.Header.Get(micro.ErrorCodeHeader) + ": " + why)
	}
	return a, json.Unmarshal(m.Data, &a)
}

// do orders an action and returns its last answer.
func (s *announced) do(action, body string) worker.Answer {
	s.t.Helper()
	sub := s.order(action, body)
	first, err := s.answer(sub)
	if err != nil || first.Done || first.Action != action || first.Worker != "w1" {
		s.t.Fatalf("the first answer to %s %s is %+v, %v", action, body, first, err)
	}
	last, err := s.answer(sub)
	if err != nil || !last.Done || last.Action != action {
		s.t.Fatalf("the last answer to %s %s is %+v, %v", action, body, last, err)
	}
	return last
}

func TestFoundByTheMicroServiceProtocol(t *testing.T) {
	t.Parallel()
	s := announce(t, func(c *worker.Config) { c.Version = "v1.2.3-4-gabc" })
	var ping micro.Ping
	s.protocol(micro.PingVerb, &ping)
	if ping.Name != "molt-worker" || ping.Version != "1.2.3" || ping.ID != s.info.ID || ping.Metadata["worker"] != "w1" {
		t.Errorf("PING: %+v", ping)
	}
	for key, want := range map[string]string{"pools": "default", "isolation": "default=shared", "prefix": "molt", "version": "v1.2.3-4-gabc"} {
		if got := s.info.Metadata[key]; got != want {
			t.Errorf("metadata %s is %q, want %q", key, got, want)
		}
	}
	s.run(queue.Job{Code: "1"})
	await(t, "a settled job", func() bool { return s.worker.Status().Pools[0].Counts.Settled == 1 })
	m, err := s.nc.RequestWithContext(testContext(t), s.subject("status"), nil)
	if err != nil {
		t.Fatal(err)
	}
	var status worker.Status
	if err := json.Unmarshal(m.Data, &status); err != nil || status.Name != "w1" || !status.Ready || len(status.Pools) != 1 || len(status.Pools[0].Slots) != 2 || status.Pools[0].Counts.JobsDone() != 1 {
		t.Errorf("%v: %s", err, m.Data)
	}
	// A request is counted after it has been answered.
	await(t, "a request for the status that is counted", func() bool {
		var stats micro.Stats
		s.protocol(micro.StatsVerb, &stats)
		requests := 0
		for _, e := range stats.Endpoints {
			if e.Name != "status" {
				continue
			}
			requests = e.NumRequests
			var counts map[string]worker.Counts
			if err := json.Unmarshal(e.Data, &counts); err != nil || counts["default"].Results[queue.StatusOK] != 1 {
				t.Errorf("STATS: %v: %s", err, e.Data)
			}
		}
		if requests > 1 || len(stats.Endpoints) != 4 {
			t.Errorf("%d requests for the status, %d endpoints", requests, len(stats.Endpoints))
		}
		return requests == 1 || t.Failed()
	})
}

// What is sent to a worker ends in no stream.
func TestControlSubjectsAreNotStored(t *testing.T) {
	t.Parallel()
	s := announce(t, nil)
	js, err := jetstream.New(s.nc)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range s.info.Endpoints {
		if name, err := js.StreamNameBySubject(testContext(t), e.Subject); !errors.Is(err, jetstream.ErrStreamNotFound) {
			t.Errorf("%s is stored in %s (%v)", e.Subject, name, err)
		}
		if !strings.HasPrefix(e.Subject, "molt.worker."+s.info.ID+".") {
			t.Errorf("%s is not among molt.worker.>", e.Subject)
		}
	}
}

func TestOrdersDrainResumeAndRecycleAPool(t *testing.T) {
	t.Parallel()
	s := announce(t, nil)
	s.run(queue.Job{Code: "1"})
	pool := func() worker.PoolStatus { return s.worker.Status().Pools[0] }
	generations := func() (sum int) {
		for _, slot := range pool().Slots {
			sum += slot.Generation
		}
		return sum
	}
	await(t, "two interpreters", func() bool { return generations() == 2 })
	if a := s.do("recycle", ""); a.Error != "" || generations() != 4 {
		t.Errorf("recycle: %+v, generations %d", a, generations())
	}
	for _, slot := range pool().Slots {
		if slot.LastRecycle == nil || slot.LastRecycle.Reason != worker.RecycleRequested {
			t.Errorf("%+v", slot)
		}
	}
	if a := s.do("drain", `{"pool":"default"}`); a.Error != "" || a.Pool != "default" || pool().State != "drained" {
		t.Errorf("drain: %+v, %+v", a, pool())
	}
	if s.worker.Ready() == nil {
		t.Error("a worker whose pool is drained is ready")
	}
	if a := s.do("recycle", ""); !strings.Contains(a.Error, "resume") {
		t.Errorf("recycling a drained pool: %+v", a)
	}
	waiting := s.submit(queue.Job{Code: "2"})
	if a := s.do("resume", `{}`); a.Error != "" || pool().State != "serving" {
		t.Errorf("resume: %+v, %+v", a, pool())
	}
	s.wait(waiting)
	if a := s.do("resume", ""); !strings.Contains(a.Error, "no pool is drained") {
		t.Errorf("resuming once more: %+v", a)
	}
	for body, code := range map[string]string{`{"pool":"none"}`: "404", `{"pool":1}`: "400", "x": "400"} {
		if _, err := s.answer(s.order("drain", body)); err == nil || !strings.HasPrefix(err.Error(), code) {
			t.Errorf("%s: %v", body, err)
		}
	}
}

// Of two orders for the same thing at the same time one is refused.
func TestAnOrderUnderWay(t *testing.T) {
	t.Parallel()
	s := announce(t, func(c *worker.Config) { c.Pools[0].Interpreters = 1 })
	g := newGate(t)
	ticket := s.submit(g.job())
	open := g.reached(t)
	first := s.order("drain", `{"pool":"default"}`)
	if a, err := s.answer(first); err != nil || a.Done {
		t.Fatalf("%+v %v", a, err)
	}
	if _, err := s.answer(s.order("drain", `{"pool":"default"}`)); err == nil || !strings.HasPrefix(err.Error(), "409") {
		t.Errorf("the second order: %v", err)
	}
	open()
	if a, err := s.answer(first); err != nil || !a.Done || a.Error != "" || a.Killed {
		t.Errorf("%+v %v", a, err)
	}
	s.wait(ticket)
}

// Whoever asks for a drain hears of its end, also when jobs were killed.
func TestOrderToDrainTheWorker(t *testing.T) {
	t.Parallel()
	for _, killed := range []bool{false, true} {
		t.Run(strconv.FormatBool(killed), func(t *testing.T) {
			t.Parallel()
			s := serve(t, func(c *worker.Config) {
				if killed {
					c.DrainTimeout = 50 * time.Millisecond
				}
			})
			nc := connect(t, s.url)
			presence, err := worker.Announce(nc, s.worker)
			if err != nil {
				t.Fatal(err)
			}
			a := &announced{service: s, nc: connect(t, s.url)}
			a.protocol(micro.InfoVerb, &a.info)
			g := newGate(t)
			s.submit(g.job())
			open := g.reached(t)
			answers := a.order("drain", "")
			if first, err := a.answer(answers); err != nil || first.Done {
				t.Fatalf("%+v %v", first, err)
			}
			<-s.worker.DrainRequested()
			if !killed {
				open()
			}
			presence.Close(s.worker.Drain(context.Background()))
			if last, err := a.answer(answers); err != nil || !last.Done || last.Killed != killed || last.Error != "" {
				t.Errorf("%+v %v", last, err)
			}
			if _, err := a.nc.RequestWithContext(testContext(t), a.subject("status"), nil); !errors.Is(err, nats.ErrNoResponders) {
				t.Errorf("after its end: %v", err)
			}
		})
	}
}

// A worker that may not be found serves its jobs all the same.
func TestJobsWithoutTheRightToBeFound(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	nc := connect(t, s.url)
	nc.Close()
	if _, err := worker.Announce(nc, s.worker); err == nil || !strings.Contains(err.Error(), "announce") {
		t.Errorf("on a closed connection: %v", err)
	}
	if r := s.run(queue.Job{Code: "6 * 7"}); fmt.Sprint(string(r.Value)) != "42" {
		t.Errorf("%+v", r)
	}
}
