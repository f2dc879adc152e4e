package main

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set by the build with -ldflags "-X main.version=v1.2.3".
var version string

// versions is what `molt version` tells.
type versions struct {
	Molt       string `json:"molt"`
	Commit     string `json:"commit,omitempty"`
	Go         string `json:"go"`
	Platform   string `json:"platform"`
	NATSServer string `json:"nats_server,omitempty"`
	NATSClient string `json:"nats_client,omitempty"`
}

func newVersionCommand(a *app) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the versions of molt and what it is built with",
		Args:  cobra.NoArgs,
		RunE:  func(*cobra.Command, []string) error { return a.printVersion(asJSON) },
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func (a *app) printVersion(asJSON bool) error {
	v := readVersions()
	if asJSON {
		return json.NewEncoder(a.Out).Encode(v)
	}
	commit := ""
	if v.Commit != "" {
		commit = " (" + v.Commit + ")"
	}
	_, err := fmt.Fprintf(a.Out, "molt %s%s\n%s %s\nnats-server %s, nats.go %s\n",
		v.Molt, commit, v.Go, v.Platform, v.NATSServer, v.NATSClient)
	return err
}

func readVersions() versions {
	v := versions{Molt: version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	if v.Molt == "" {
		v.Molt = info.Main.Version
	}
	if v.Molt == "" {
		v.Molt = "(devel)"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			v.Commit = s.Value
		}
	}
	for _, dep := range info.Deps {
		switch dep.Path {
		case "github.com/nats-io/nats-server/v2":
			v.NATSServer = dep.Version
		case "github.com/nats-io/nats.go":
			v.NATSClient = dep.Version
		}
	}
	return v
}
