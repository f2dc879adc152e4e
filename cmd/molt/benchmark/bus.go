package benchmark

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"github.com/seed-0f8c9bb6/molt/queue"
)

// Bus is the other limit beside the bare loops: what NATS itself does of the messages
// that a job takes, between a client and a worker that only pass them on. Each job is
// stored once and acknowledged to its publisher, delivered, its result stored and
// acknowledged, the job's own acknowledgement confirmed, and the result delivered.
// Nothing is encoded, decided or run. What it does is frozen, as the bare loops are.
type Bus struct {
	client, worker jetstream.JetStream
	jobs           jetstream.Consumer
}

// The streams of a Bus, which have the settings of molt's own.
const (
	busJobs    = "BENCH_JOBS"
	busResults = "BENCH_RESULTS"
	// busWindow bounds the jobs that are published and have no result, and those that the
	// worker has in hand.
	busWindow, busHands = 1000, 64
)

// NewBus makes the streams; the two connections are the client's and the worker's.
func NewBus(ctx context.Context, client, worker *nats.Conn) (*Bus, error) {
	b := &Bus{}
	var err error
	// Twice the window: a result may be read before its job's acknowledgement.
	if b.client, err = jetstream.New(client, jetstream.WithPublishAsyncMaxPending(2*busWindow)); err != nil {
		return nil, err
	}
	if b.worker, err = jetstream.New(worker, jetstream.WithPublishAsyncMaxPending(busWindow)); err != nil {
		return nil, err
	}
	for _, stream := range []jetstream.StreamConfig{
		{Name: busJobs, Subjects: []string{"bench.jobs.>"}, Retention: jetstream.WorkQueuePolicy, Discard: jetstream.DiscardNew},
		{Name: busResults, Subjects: []string{"bench.results.>"}, Discard: jetstream.DiscardNew,
			MaxMsgsPerSubject: 1, DiscardNewPerSubject: true, AllowDirect: true},
	} {
		if _, err := b.client.CreateOrUpdateStream(ctx, stream); err != nil {
			return nil, fmt.Errorf("cannot make the stream %s: %w", stream.Name, err)
		}
	}
	b.jobs, err = b.worker.CreateOrUpdateConsumer(ctx, busJobs, jetstream.ConsumerConfig{
		Durable: "workers", AckPolicy: jetstream.AckExplicitPolicy, MaxAckPending: 10 * busWindow,
	})
	if err != nil {
		return nil, fmt.Errorf("cannot make the consumer of %s: %w", busJobs, err)
	}
	return b, nil
}

// Close removes the streams.
func (b *Bus) Close(ctx context.Context) error {
	return errors.Join(b.client.DeleteStream(ctx, busJobs), b.client.DeleteStream(ctx, busResults))
}

// rate passes on jobs with these bodies and returns how many a second.
func (b *Bus) rate(ctx context.Context, jobs int, job, result []byte) (float64, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	batch := queue.NewID()
	results, err := b.client.OrderedConsumer(ctx, busResults, jetstream.OrderedConsumerConfig{FilterSubjects: []string{"bench.results." + batch + ".*"}})
	if err != nil {
		return 0, fmt.Errorf("cannot read %s: %w", busResults, err)
	}
	read, err := results.Messages()
	if err != nil {
		return 0, fmt.Errorf("cannot read %s: %w", busResults, err)
	}
	defer context.AfterFunc(ctx, read.Stop)()
	defer read.Stop()

	start := time.Now()
	window := make(chan struct{}, busWindow)
	var sides errgroup.Group
	fail := func(work func() error) {
		sides.Go(func() error {
			err := work()
			if err != nil {
				cancel(err)
			}
			return err
		})
	}
	fail(func() error { return b.serve(ctx, jobs, batch, result) })
	fail(func() error { return b.publish(ctx, jobs, batch, job, window) })
	for range jobs {
		if _, err := read.Next(); err != nil {
			cancel(err)
			return 0, errors.Join(err, sides.Wait())
		}
		<-window
	}
	took := time.Since(start)
	return float64(jobs) / took.Seconds(), sides.Wait()
}

func (b *Bus) publish(ctx context.Context, jobs int, batch string, job []byte, window chan<- struct{}) error {
	for i := range jobs {
		select {
		case window <- struct{}{}:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		id := batch + "." + strconv.Itoa(i)
		if _, err := b.client.PublishMsgAsync(&nats.Msg{Subject: "bench.jobs." + id, Data: job}, jetstream.WithMsgID(id)); err != nil {
			return fmt.Errorf("cannot publish to %s: %w", busJobs, err)
		}
	}
	select {
	case <-b.client.PublishAsyncComplete():
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// serve answers the jobs as a worker does: stores a result, then acknowledges the job.
func (b *Bus) serve(ctx context.Context, jobs int, batch string, result []byte) error {
	arrived, err := b.jobs.Messages(jetstream.PullMaxMessages(4 * busHands))
	if err != nil {
		return fmt.Errorf("cannot read %s: %w", busJobs, err)
	}
	defer context.AfterFunc(ctx, arrived.Stop)()
	defer arrived.Stop()
	var hands errgroup.Group
	hands.SetLimit(busHands)
	for range jobs {
		job, err := arrived.Next()
		if err != nil {
			return errors.Join(err, hands.Wait())
		}
		hands.Go(func() error {
			stored, err := b.worker.PublishAsync("bench.results."+job.Subject()[len("bench.jobs."):], result)
			if err != nil {
				return fmt.Errorf("cannot publish to %s: %w", busResults, err)
			}
			select {
			case <-stored.Ok():
				return job.DoubleAck(ctx)
			case err := <-stored.Err():
				return fmt.Errorf("cannot publish to %s: %w", busResults, err)
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		})
	}
	return hands.Wait()
}
