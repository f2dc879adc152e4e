package queue_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/seed-0f8c9bb6/molt/queue"
	"github.com/seed-0f8c9bb6/molt/queue/embednats"
)

// exampleServer stands in for a server with workers: it runs a server, and answers
// each job with what its code says it prints.
func exampleServer() (url string, stop func()) {
	server, err := embednats.Start(embednats.Options{})
	if err != nil {
		log.Fatal(err)
	}
	nc, err := queue.Connect(queue.Connection{URL: server.URL(), Name: "worker"})
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	subjects, err := queue.NewSubjects("")
	if err != nil {
		log.Fatal(err)
	}
	q, err := queue.Open(ctx, nc, subjects, testPool, testResults, testPolicy)
	if err != nil {
		log.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := answer(ctx, q); err != nil {
			log.Print(err)
		}
	}()
	closed := make(chan struct{})
	nc.SetClosedHandler(func(*nats.Conn) { close(closed) })
	return server.URL(), func() {
		cancel()
		<-done
		nc.Close()
		<-closed
		if err := server.Close(); err != nil {
			log.Print(err)
		}
	}
}

func answer(ctx context.Context, q *queue.Queue) error {
	source, err := q.Source()
	if err != nil {
		return err
	}
	for {
		if source.Asked() == 0 {
			if err := source.Ask(16); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case m := <-source.Messages():
			if job, err := source.Accept(m); err != nil || !job {
				continue
			}
			d, err := q.Receive(m)
			if err != nil {
				return err
			}
			r := okResult(d)
			_, _ = fmt.Sscanf(d.Job.Code, "print(%q)", &r.Stdout)
			if err := d.Complete(context.WithoutCancel(ctx), r); err != nil {
				return err
			}
		}
	}
}

// One job: submit it, wait for its result.
func ExampleClient_Submit() {
	url, stop := exampleServer()
	defer stop()

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	nc, err := queue.Connect(queue.Connection{URL: url, Name: "example"})
	if err != nil {
		log.Fatal(err)
	}
	defer nc.Close()
	client, err := queue.NewClient(nc, queue.ClientOptions{})
	if err != nil {
		log.Fatal(err)
	}

	job := queue.Job{ID: queue.NewID(), Code: `print("hello")`}
	ticket, err := client.Submit(ctx, "default", job)
	if errors.Is(err, queue.ErrUnconfirmed) {
		// It may be stored or not: the same job again tells.
		ticket, err = client.Submit(ctx, "default", job)
	}
	if err != nil {
		log.Fatal(err)
	}
	result, err := client.Wait(ctx, ticket)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(result.Status, result.Stdout)
	// Output: ok hello
}

// Many jobs: publish them without waiting for each, read the results in the jobs'
// order. queue.Of instead of queue.InOrderOf yields them as they complete.
func ExampleClient_SubmitBatch() {
	url, stop := exampleServer()
	defer stop()

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	nc, err := queue.Connect(queue.Connection{URL: url, Name: "example"})
	if err != nil {
		log.Fatal(err)
	}
	defer nc.Close()
	// A full pool is tried again for ten minutes.
	client, err := queue.NewClient(nc, queue.ClientOptions{FullPatience: 10 * time.Minute})
	if err != nil {
		log.Fatal(err)
	}

	batch := "example-" + queue.NewID()
	jobs := func(yield func(queue.Job) bool) {
		for _, word := range []string{"one", "two", "three"} {
			if !yield(queue.Job{ID: word, Batch: batch, Code: fmt.Sprintf("print(%q)", word)}) {
				return
			}
		}
	}
	var tickets []queue.Ticket
	err = client.SubmitBatch(ctx, "default", jobs, func(s queue.Submitted) bool {
		if s.Err != nil {
			log.Printf("job %s: %v", s.Ticket.ID, s.Err)
			return false
		}
		tickets = append(tickets, s.Ticket)
		return true
	})
	if err != nil {
		log.Fatal(err)
	}
	for result, err := range client.Results(ctx, batch, queue.InOrderOf(tickets...)) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(result.ID, result.Status, result.Stdout)
	}
	// Output:
	// one ok one
	// two ok two
	// three ok three
}

// A result can be fetched later, by another process.
func ExampleClient_Fetch() {
	url, stop := exampleServer()
	defer stop()

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	nc, err := queue.Connect(queue.Connection{URL: url, Name: "example"})
	if err != nil {
		log.Fatal(err)
	}
	defer nc.Close()
	client, err := queue.NewClient(nc, queue.ClientOptions{Namespace: "alice"})
	if err != nil {
		log.Fatal(err)
	}

	later := queue.Ticket{Namespace: "alice", Batch: queue.DefaultBatch, ID: "report-7"}
	_, err = client.Fetch(ctx, later)
	fmt.Println(errors.Is(err, queue.ErrNotFound))
	if _, err := client.Submit(ctx, "default", queue.Job{ID: "report-7", Code: `print("seven")`}); err != nil {
		log.Fatal(err)
	}
	result, err := client.Wait(ctx, later)
	if err != nil {
		log.Fatal(err)
	}
	again, err := client.Fetch(ctx, later)
	fmt.Println(again.Stdout == result.Stdout, err)
	// Output:
	// true
	// true <nil>
}
