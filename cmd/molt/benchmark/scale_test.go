package benchmark

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/seed-0f8c9bb6/molt/queue"
)

// dyingCrew makes workers that run no job; the one of that name has ended.
type dyingCrew struct{ dead string }

func (c dyingCrew) Start(_ context.Context, name string, _ CrewPool) (CrewMember, error) {
	m := idleMember{ended: make(chan struct{})}
	if name == c.dead {
		close(m.ended)
	}
	return m, nil
}

type idleMember struct {
	CrewMember
	ended chan struct{}
}

func (m idleMember) Ended() <-chan struct{} { return m.ended }
func (m idleMember) Stop() error            { return nil }
func (m idleMember) Kill() error            { return nil }

// A worker that ends by itself ends the measurement: nobody else would.
func TestRedeliveryWithoutWorkers(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	nc, _ := busConnections(t)
	subjects, err := queue.NewSubjects("")
	if err != nil {
		t.Fatal(err)
	}
	pool := queue.PoolStream{Pool: "killed-1000", Isolation: "shared", AckWait: time.Second, Replicas: 1}
	if _, err := queue.Open(ctx, nc, subjects, pool, queue.ResultStreams{Replicas: 1}, queue.Policy{AckWait: time.Second}); err != nil {
		t.Fatal(err)
	}
	client, err := queue.NewClient(nc, queue.ClientOptions{})
	if err != nil {
		t.Fatal(err)
	}
	// The heir is waited for when every job has started, of which there are none then.
	for dead, jobs := range map[string]int{"victim": 1, "heir": 0} {
		o := ScaleOptions{Options: Options{Client: client, Progress: func(string) {}}, Crew: dyingCrew{dead}, Interpreters: jobs}
		if _, err := o.redelivery(ctx, time.Second); err == nil || !strings.Contains(err.Error(), "the worker "+dead+" ended by itself") {
			t.Errorf("%s: %v", dead, err)
		}
	}
}
