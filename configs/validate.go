package configs

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
)

// KeyError says what is wrong with one key's value.
type KeyError struct {
	// File and Line say where; Line is 0 when the file doesn't have the key.
	File string
	Line int
	// Key is the key's path, such as pools[1].timeout.
	Key string
	// Problem is the cause and the remedy.
	Problem string
}

func (e *KeyError) Error() string {
	place := e.File
	if place == "" {
		place = "the configuration"
	} else if e.Line > 0 {
		place = fmt.Sprintf("%s:%d", e.File, e.Line)
	}
	return fmt.Sprintf("cannot use %s: %s %s", place, e.Key, e.Problem)
}

// KeyErrorf returns an error about the key's value, with its place in the file
// that the configuration was loaded from.
func (c *Config) KeyErrorf(key, format string, args ...any) error {
	return &KeyError{File: c.file, Line: c.line(key), Key: key, Problem: fmt.Sprintf(format, args...)}
}

// line finds the key's line, or that of the nearest key above it.
func (c *Config) line(key string) int {
	if c.root == nil {
		return 0
	}
	for key != "" {
		if path, err := yaml.PathString("$." + key); err == nil {
			if node, err := path.FilterNode(c.root); err == nil && node != nil {
				return node.GetToken().Position.Line
			}
		}
		key = key[:max(strings.LastIndexAny(key, ".["), 0)]
	}
	return 0
}

// Validate returns every problem that can be seen without a server or Python.
func (c *Config) Validate() error {
	var errs []error
	check := func(ok bool, key, format string, args ...any) {
		if !ok {
			errs = append(errs, c.KeyErrorf(key, format, args...))
		}
	}
	check(isToken(c.Prefix), "prefix", "%q must be 1 to 64 letters, digits, '_' or '-'", c.Prefix)
	check(slices.Contains(Levels, c.Log.Level), "log.level", "%q is unknown: choose one of %s", c.Log.Level, strings.Join(Levels, ", "))
	check(slices.Contains(Formats, c.Log.Format), "log.format", "%q is unknown: choose one of %s", c.Log.Format, strings.Join(Formats, ", "))
	check(c.DrainTimeout >= 0, "drain_timeout", "%v is negative: use 0 to stop at once", c.DrainTimeout)
	check(c.StartsAtOnce >= 0, "starts_at_once", "%d is negative: use 0 for one a CPU", c.StartsAtOnce)
	check(c.Nice >= 0 && c.Nice <= 19, "nice", "%d must be 0 to 19", c.Nice)
	if c.HTTP != "" {
		_, _, err := net.SplitHostPort(c.HTTP)
		check(err == nil, "http", "%q is not an address: write host:port, such as :8080", c.HTTP)
	}
	check(c.HTTPToken == strings.TrimSpace(c.HTTPToken), "http_token", "begins or ends with a space: a header can't carry that")
	check(c.NATS.URL == "" || c.NATS.Context == "", "nats.context", "stands beside nats.url: keep the one that names the server")
	c.validateURL(check)
	check(c.NATS.InboxPrefix == "" || isPrefix(c.NATS.InboxPrefix), "nats.inbox_prefix", "%q is no prefix of subjects: use tokens between dots, without wildcards or spaces, such as _INBOX_alice", c.NATS.InboxPrefix)
	check((c.NATS.TLS.Cert == "") == (c.NATS.TLS.Key == ""), "nats.tls", "needs cert and key together: add the missing one")
	c.validateResults(check)
	seen := make(map[string]int)
	for i, p := range c.Pools {
		key := fmt.Sprintf("pools[%d]", i)
		first, twice := seen[p.Name]
		check(!twice, key+".name", "%q is also the name of pools[%d]: rename one", p.Name, first)
		seen[p.Name] = i
		p.validate(func(ok bool, name, format string, args ...any) {
			check(ok, key+"."+name, format, args...)
		})
	}
	return errors.Join(errs...)
}

// The values of log.level, log.format and third_party.
var (
	Levels       = []string{"debug", "info", "warn", "error"}
	Formats      = []string{"console", "json"}
	ThirdParties = []string{"keep", "drop"}
)

type checker func(ok bool, key, format string, args ...any)

// validateURL leaves the URL itself out of its message: it may hold a password.
func (c *Config) validateURL(check checker) {
	for server := range strings.SplitSeq(c.NATS.URL, ",") {
		server = strings.TrimSpace(server)
		if !strings.Contains(server, "://") {
			server = "nats://" + server // as the NATS client does
		}
		_, err := url.Parse(server)
		var cause *url.Error
		if errors.As(err, &cause) {
			err = cause.Err
		}
		if err != nil && strings.Contains(server, "@") {
			// The cause quotes what it takes for a port, which may be half a password.
			err = errors.New("percent-encode what is not a letter or a digit in the user's name and password")
		}
		check(err == nil, "nats.url", "holds no list of server URLs (%v): write nats://host:4222, several separated by commas", err)
	}
}

func (c *Config) validateResults(check checker) {
	r := c.Results
	check(r.MaxAge == 0 || r.MaxAge >= Duration(time.Second), "results.max_age", "%v is too short: use at least 1s, or 0 to keep results for ever", r.MaxAge)
	check(r.DeadMaxAge == 0 || r.DeadMaxAge >= Duration(time.Second), "results.dead_max_age", "%v is too short: use at least 1s, or 0 to keep dead jobs for ever", r.DeadMaxAge)
	checkReplicas(check, "results.replicas", r.Replicas)
}

func checkReplicas(check checker, key string, n int) {
	check(n >= 1 && n <= 5, key, "%d must be 1 to 5", n)
}

func (p *Pool) validate(check checker) {
	check(isToken(p.Name), "name", "%q must be 1 to 64 letters, digits, '_' or '-'", p.Name)
	check(p.Isolation != "", "isolation", "is empty: name a mode, or leave it out for %s", DefaultPool("").Isolation)
	check(p.Python != "", "python", "is empty: name an interpreter, or leave it out for python3")
	check(p.Interpreters >= 1 && p.Interpreters <= 1024, "interpreters", "%d must be 1 to 1024; leave it out for one a CPU", p.Interpreters)
	p.Budget.validate(check)
	check(p.Spares >= 0 && p.Spares <= 1024, "spares", "%d must be 0 to 1024; 0 lets slots wait for the start of their next interpreter", p.Spares)
	check(p.ReadyTimeout >= Duration(100*time.Millisecond), "ready_timeout", "%v must be at least 100ms", p.ReadyTimeout)
	check(p.UnhealthyAfter >= 1, "unhealthy_after", "%d must be at least 1", p.UnhealthyAfter)
	check(p.Timeout >= 0, "timeout", "%v is negative: use 0 for no limit", p.Timeout)
	check(p.Processes >= 0, "processes", "%d is negative: use 0 for no limit", p.Processes)
	check(p.OpenFiles >= 0, "open_files", "%d is negative: use 0 for no limit", p.OpenFiles)
	check(slices.Contains(ThirdParties, p.ThirdParty), "third_party", "%q is unknown: choose one of %s", p.ThirdParty, strings.Join(ThirdParties, ", "))
	check(p.Attempts >= 1, "attempts", "%d must be at least 1", p.Attempts)
	check(p.OutputCap >= 1024, "output_cap", "%v must be at least 1KiB", p.OutputCap)
	check(p.MaxJobBytes >= 1024, "max_job_bytes", "%v must be at least 1KiB", p.MaxJobBytes)
	check(p.AckWait >= Duration(time.Second), "ack_wait", "%v must be at least 1s: leases are extended several times within it", p.AckWait)
	check(p.DuplicateWindow >= Duration(100*time.Millisecond), "duplicate_window", "%v must be at least 100ms", p.DuplicateWindow)
	check(p.MaxMsgs >= 0, "max_msgs", "%d is negative: use 0 for no cap", p.MaxMsgs)
	checkReplicas(check, "replicas", p.Replicas)
	for i, pattern := range p.ReplyAllow {
		key := fmt.Sprintf("reply_allow[%d]", i)
		check(isPattern(pattern), key, "%q is not a NATS subject pattern: use tokens between dots, * for one and > for the rest", pattern)
	}
	for name := range p.Env {
		check(name != "" && !strings.ContainsAny(name, "=\x00"), "env", "has the name %q: a name is not empty and holds neither '=' nor NUL", name)
	}
}

func isToken(s string) bool {
	return s != "" && len(s) <= 64 && !strings.ContainsFunc(s, func(r rune) bool {
		letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
		return !letter && (r < '0' || r > '9') && r != '_' && r != '-'
	})
}

func isPrefix(s string) bool { return isPattern(s) && !strings.ContainsAny(s, "*>") }

func isPattern(s string) bool {
	tokens := strings.Split(s, ".")
	for i, t := range tokens {
		if t == "" || strings.ContainsAny(t, " \t\r\n") || t == ">" && i < len(tokens)-1 {
			return false
		}
		if len(t) > 1 && strings.ContainsAny(t, "*>") {
			return false
		}
	}
	return true
}
