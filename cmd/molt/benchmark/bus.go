package benchmark

import (
	"cmp"
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
	refused        chan error // of publishes of jobs
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
	b := &Bus{refused: make(chan error, 1)}
	var err error
	// Twice the window: a result may be read before its job's acknowledgement.
	b.client, err = jetstream.New(client, jetstream.WithPublishAsyncMaxPending(2*busWindow),
		jetstream.WithPublishAsyncErrHandler(func(_ jetstream.JetStream, _ *nats.Msg, err error) {
			select {
			case b.refused <- err:
			default:
			}
		}))
	if err != nil {
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
		// One that a killed process left in a store has its jobs.
		if err := b.client.DeleteStream(ctx, stream.Name); err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
			return nil, fmt.Errorf("cannot remove the stream %s: %w", stream.Name, err)
		}
		if _, err := b.client.CreateStream(ctx, stream); err != nil {
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
	batch := queue.NewID()
	results, err := b.client.OrderedConsumer(ctx, busResults, jetstream.OrderedConsumerConfig{FilterSubjects: []string{"bench.results." + batch + ".*"}})
	if err != nil {
		return 0, fmt.Errorf("cannot read %s: %w", busResults, err)
	}
	read, err := results.Messages()
	if err != nil {
		return 0, fmt.Errorf("cannot read %s: %w", busResults, err)
	}
	defer read.Stop()
	start := time.Now()
	var took time.Duration
	window, done := make(chan struct{}, busWindow), make(chan struct{})
	sides, one := errgroup.WithContext(ctx) // ends with the first that fails
	defer context.AfterFunc(one, read.Stop)()
	sides.Go(func() error { return b.serve(one, jobs, batch, result) })
	sides.Go(func() error { return b.publish(one, jobs, batch, job, window) })
	sides.Go(func() error {
		for range jobs {
			if _, err := read.Next(); err != nil {
				return fmt.Errorf("cannot read %s: %w", busResults, err)
			}
			<-window
		}
		took = time.Since(start)
		close(done)
		return nil
	})
	sides.Go(func() error {
		select {
		case err := <-b.refused:
			return fmt.Errorf("cannot publish to %s: %w", busJobs, err)
		case <-done:
		case <-one.Done():
		}
		return nil
	})
	if err := sides.Wait(); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return 0, err
	}
	return float64(jobs) / took.Seconds(), nil
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
	defer arrived.Stop()
	hands, ctx := errgroup.WithContext(ctx)
	defer context.AfterFunc(ctx, arrived.Stop)()
	hands.SetLimit(busHands)
	for range jobs {
		job, err := arrived.Next()
		if err != nil {
			return cmp.Or(hands.Wait(), err)
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
