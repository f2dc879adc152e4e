package main

import (
	"context"

	"github.com/nats-io/nats.go/jetstream"
)

// dryRun is a JetStream on which what would be created is only noted, so that
// doctor checks the shape of streams with the code that a worker uses.
type dryRun struct {
	jetstream.JetStream
	missing []string
}

// Stream returns the stream with its consumers protected as well.
func (d *dryRun) Stream(ctx context.Context, name string) (jetstream.Stream, error) {
	stream, err := d.JetStream.Stream(ctx, name)
	if err != nil {
		return nil, err
	}
	return &dryStream{Stream: stream, run: d, name: name}, nil
}

// CreateStream notes the stream and answers as if it had been created.
func (d *dryRun) CreateStream(_ context.Context, cfg jetstream.StreamConfig) (jetstream.Stream, error) {
	d.missing = append(d.missing, "stream "+cfg.Name)
	return &dryStream{run: d, name: cfg.Name, info: &jetstream.StreamInfo{Config: cfg}}, nil
}

// dryStream is a stream that is there, or one that would be.
type dryStream struct {
	jetstream.Stream
	run  *dryRun
	name string
	info *jetstream.StreamInfo // of one that would be; else nil
}

func (s *dryStream) CachedInfo() *jetstream.StreamInfo {
	if s.info != nil {
		return s.info
	}
	return s.Stream.CachedInfo()
}

func (s *dryStream) Consumer(ctx context.Context, name string) (jetstream.Consumer, error) {
	if s.info != nil {
		return nil, jetstream.ErrConsumerNotFound
	}
	return s.Stream.Consumer(ctx, name)
}

// CreateConsumer notes the consumer, unless its stream is missing too.
func (s *dryStream) CreateConsumer(_ context.Context, cfg jetstream.ConsumerConfig) (jetstream.Consumer, error) {
	if s.info == nil {
		s.run.missing = append(s.run.missing, "consumer "+cfg.Durable+" of stream "+s.name)
	}
	return &dryConsumer{info: &jetstream.ConsumerInfo{Config: cfg}}, nil
}

// dryConsumer is a consumer that would be there.
type dryConsumer struct {
	jetstream.Consumer
	info *jetstream.ConsumerInfo
}

func (c *dryConsumer) CachedInfo() *jetstream.ConsumerInfo { return c.info }
