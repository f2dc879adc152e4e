package pyproc

import (
	"io"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// maxEntries bounds how much of a job's directory is looked at.
const maxEntries = 10_000

// collector gathers the output files of one job. Every step opens relative to the
// directory above with O_NOFOLLOW, so no link is followed anywhere.
type collector struct {
	patterns  [][]string
	room      int
	entries   int
	as        *identity // whose files count; nil: everybody's
	files     map[string][]byte
	truncated bool
}

// collect returns the regular files beneath the directory that match a pattern, in
// which each segment is one of path.Match and matches one segment. Files are taken in
// the order of their names; one that doesn't fit into limit bytes is left out.
func (d *jobDir) collect(globs []string, limit int) (map[string][]byte, bool) {
	c := collector{room: limit, as: d.as, files: map[string][]byte{}}
	for _, glob := range globs {
		clean := path.Clean(strings.TrimPrefix(glob, "./"))
		if _, err := path.Match(clean, ""); err == nil && !path.IsAbs(clean) {
			c.patterns = append(c.patterns, strings.Split(clean, "/"))
		}
	}
	fd, err := unix.Openat(d.fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err == nil {
		c.walk(os.NewFile(uintptr(fd), "."), "", c.patterns)
	}
	return c.files, c.truncated
}

// walk takes what matches in one directory; patterns are what is left to match
// beneath it.
func (c *collector) walk(dir *os.File, prefix string, patterns [][]string) {
	defer dir.Close()
	names, err := dir.Readdirnames(maxEntries - c.entries + 1)
	if err != nil && err != io.EOF {
		return
	}
	c.entries += len(names)
	if c.entries > maxEntries {
		c.truncated = true
		return
	}
	slices.Sort(names)
	for _, name := range names {
		var below [][]string
		takes := false
		for _, p := range patterns {
			if ok, _ := path.Match(p[0], name); ok {
				if len(p) == 1 {
					takes = true
				} else {
					below = append(below, p[1:])
				}
			}
		}
		if takes || below != nil {
			c.visit(int(dir.Fd()), name, prefix+name, takes, below)
		}
	}
}

func (c *collector) visit(dirfd int, name, full string, takes bool, below [][]string) {
	// Non-blocking: opening a named pipe must not wait for its writer.
	fd, err := unix.Openat(dirfd, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	var stat unix.Stat_t
	if unix.Fstat(fd, &stat) != nil {
		unix.Close(fd)
		return
	}
	file := os.NewFile(uintptr(fd), full)
	switch {
	case stat.Mode&unix.S_IFMT == unix.S_IFDIR && below != nil:
		c.walk(file, full+"/", below)
		return
	case c.as != nil && int(stat.Uid) != c.as.uid:
		// A second name for a file that this process may read and the job may not.
	case stat.Mode&unix.S_IFMT == unix.S_IFREG && takes:
		c.take(file, full, stat.Size)
	}
	file.Close()
}

func (c *collector) take(file *os.File, full string, size int64) {
	if size > int64(c.room) {
		c.truncated = true
		return
	}
	// A straggler may still be writing: read no more than there is room for.
	content, err := io.ReadAll(io.LimitReader(file, int64(c.room)+1))
	if err != nil || len(content) > c.room {
		c.truncated = true
		return
	}
	c.room -= len(content)
	c.files[full] = content
}
