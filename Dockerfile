# A worker's image: molt on a slim Python, run by a user without rights.
ARG GO_IMAGE=golang:1.26-bookworm
ARG PYTHON_IMAGE=python:3.13-slim-bookworm

FROM ${GO_IMAGE} AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=container
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=${VERSION}" -o /molt ./cmd/molt

FROM ${PYTHON_IMAGE}
RUN useradd --system --uid 10001 --create-home molt
COPY --from=build /molt /usr/local/bin/molt
COPY configs/container.yaml /etc/molt/worker.yaml
USER molt
WORKDIR /home/molt
EXPOSE 8080
# /readyz answers 200 while every pool serves jobs.
HEALTHCHECK --interval=10s --timeout=3s --start-period=15s --retries=3 \
    CMD ["python3", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8080/readyz', timeout=2)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["molt"]
CMD ["worker", "--config", "/etc/molt/worker.yaml"]
