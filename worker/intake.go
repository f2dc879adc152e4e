package worker

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"github.com/seed-0f8c9bb6/molt/queue"
)

const (
	// admitBatch is how many jobs are looked up together.
	admitBatch = 128
	// intakeTick is how often lost requests and stale jobs are looked for.
	intakeTick = 250 * time.Millisecond
	// maxWait is how long a job may wait here for a slot before another worker
	// gets the chance, where there can be one.
	maxWait = time.Second
	// lookupTimeout bounds one search for stored results, and one question about
	// a job's deliveries with noteTimeout more for each of up to maxNotes: others wait
	// for it.
	lookupTimeout = 2 * time.Second
	noteTimeout   = 100 * time.Millisecond
	maxNotes      = 100
	// lookupPause lies between two tries.
	lookupPause = 250 * time.Millisecond
	// closeTimeout bounds the wait for what the server had sent already.
	closeTimeout = 5 * time.Second
)

// intake asks for jobs and hands them to the admission. Its goroutine owns the
// source.
type intake struct {
	pool   *pool
	source *queue.Source
	// extra is how many jobs beyond the slots are asked for at present. It
	// doubles towards the pace's prefetch while the pool is busy, and starts
	// from zero when it has been idle, so that the jobs of a new batch are
	// spread over the workers before anyone hoards them.
	extra int
	// arrived has the decoded jobs on their way to the admission.
	arrived chan *queue.Delivery
}

func (in *intake) run() {
	tick := time.NewTicker(intakeTick)
	defer tick.Stop()
	defer close(in.arrived)
	for {
		in.ask()
		select {
		case m := <-in.source.Messages():
			if d := in.accept(m); d != nil {
				in.pool.hold(d)
				in.arrived <- d
			}
		case <-in.pool.kick:
		case now := <-tick.C:
			in.tick(now)
		case <-in.pool.fetching.Done():
			in.close()
			return
		}
	}
}

// ask requests as many jobs as there is room for, a good part of the room at
// a time.
func (in *intake) ask() {
	p := in.pool
	defer func() { p.supply.asks(in.source.Asked()) }()
	if !in.source.Connected() || !p.able() || p.supply.blocked.Load() {
		return // the reconnect, the first interpreter, or the supply brings another chance
	}
	busy := int(p.busy.Load())
	target := p.pace.prefetch(len(p.slots))
	if busy >= len(p.slots) {
		in.extra = 2*in.extra + len(p.slots)
	}
	in.extra = min(in.extra, target)
	room := len(p.slots) + in.extra - busy - in.source.Asked()
	if room <= in.extra/4 {
		return
	}
	if err := in.source.Ask(room); err != nil {
		p.log.Warn("cannot fetch jobs", zap.Error(err))
	}
}

func (in *intake) tick(now time.Time) {
	p := in.pool
	if p.supply.renew.CompareAndSwap(true, false) {
		if err := in.source.Renew(); err != nil {
			p.log.Warn("cannot ask for jobs anew", zap.Error(err))
		}
	}
	in.source.DropLost(now)
	if p.busy.Load() == 0 {
		in.extra = 0
	}
	if p.worker.cfg.Alone {
		return
	}
	for _, d := range p.backlog.stale(now, maxWait) {
		p.giveBack(d, "no slot became free in time")
	}
}

func (in *intake) accept(m *nats.Msg) *queue.Delivery {
	job, err := in.source.Accept(m)
	if err != nil {
		in.pool.supply.alarm(err)
	}
	if !job {
		return nil
	}
	d, err := in.pool.queue.Receive(m)
	if err != nil {
		in.pool.log.Error("dropped a message that JetStream did not send", zap.Error(err))
		return nil
	}
	// The intake may have been kept from its messages, by settlements that a server does
	// not take, for longer than a lease lasts.
	d.LeasedSince(in.source.Arrived())
	return d
}

// close withdraws the requests and gives back everything that has not started.
func (in *intake) close() {
	p := in.pool
	p.giveBackWaiting() // first: the server may take its time below
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	if err := in.source.Close(ctx); err != nil {
		p.log.Warn("jobs that were on their way will come again after the ack wait", zap.Error(err))
	}
	for len(in.source.Messages()) > 0 {
		if d := in.accept(<-in.source.Messages()); d != nil {
			p.hold(d)
			p.giveBack(d, "drained")
		}
	}
}

// giveBackWaiting gives back the jobs that wait for a slot.
func (p *pool) giveBackWaiting() {
	for _, d := range p.backlog.all() {
		p.giveBack(d, "drained")
	}
}
