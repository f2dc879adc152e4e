package queue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/nats-io/nats.go"
)

const (
	// storePatience is how long a result's publish is tried while the server is
	// there: a failover of a three-node cluster stalls publishes for 6 s, so that
	// less than 15 s loses.
	storePatience = 30 * time.Second
	// ackPatience is the same for replies and acknowledgements.
	ackPatience = 30 * time.Second
)

// retry calls op until it succeeds, fails for good (backoff.Permanent), ctx
// ends, or patience has passed. Time without a connection does not count: what
// a job brought about is worth waiting for its server to come back.
func retry(ctx context.Context, nc *nats.Conn, patience time.Duration, op func() error) error {
	err := op()
	if err == nil {
		return nil
	}
	policy := backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(50*time.Millisecond),
		backoff.WithMaxInterval(2*time.Second),
		backoff.WithMaxElapsedTime(0))
	var spent time.Duration
	for last := time.Now(); ; {
		var permanent *backoff.PermanentError
		switch {
		case errors.As(err, &permanent):
			return permanent.Err
		case nc.IsClosed(), spent > patience:
			return err
		}
		timer := time.NewTimer(policy.NextBackOff())
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		}
		if err = op(); err == nil {
			return nil
		}
		now := time.Now()
		if nc.IsConnected() {
			spent += now.Sub(last)
		}
		last = now
	}
}

func (q *Queue) retry(ctx context.Context, patience time.Duration, op func() error) error {
	return retry(ctx, q.nc, patience, op)
}
