package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/seed-0f8c9bb6/molt/worker"
)

// health answers /livez while the process lives and /readyz while its worker
// serves jobs.
type health struct {
	server *http.Server
	addr   net.Addr
	done   chan struct{}
	worker atomic.Pointer[worker.Worker]
}

// serveHealth listens on the address; an empty one serves nothing.
func serveHealth(address string, log *zap.Logger) (*health, error) {
	h := &health{done: make(chan struct{})}
	if address == "" {
		close(h.done)
		return h, nil
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("cannot serve /livez and /readyz: %w: choose another address with --http", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", h.readyz)
	h.server = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	h.addr = listener.Addr()
	log.Info("health checks", zap.String("address", h.addr.String()))
	go func() {
		defer close(h.done)
		if err := h.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			log.Error("health checks ended", zap.Error(err))
		}
	}()
	return h, nil
}

func (h *health) readyz(w http.ResponseWriter, _ *http.Request) {
	err := errors.New("the worker is starting")
	if serving := h.worker.Load(); serving != nil {
		err = serving.Ready()
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	_, _ = fmt.Fprintln(w, "ok")
}

// serve makes /readyz speak for the worker.
func (h *health) serve(w *worker.Worker) { h.worker.Store(w) }

func (h *health) close() {
	if h.server != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if h.server.Shutdown(ctx) != nil {
			_ = h.server.Close()
		}
	}
	<-h.done
}
