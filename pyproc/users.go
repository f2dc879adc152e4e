package pyproc

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// ErrNoPrivilege: this process may not run interpreters as another user.
var ErrNoPrivilege = errors.New("this process lacks the privilege")

// ErrUsersInUse: every user of a range has an interpreter already.
var ErrUsersInUse = errors.New("every user of the range has an interpreter: make the range larger")

// Users are the users that interpreters run as: one for all, or a range of which each
// interpreter has one of its own while it lives.
type Users struct {
	ids []identity

	mu    sync.Mutex
	inUse []bool
}

type identity struct{ uid, gid int }

// maxID is the highest id that does not mean "no id" to some system call.
const maxID = 1<<31 - 2

// ParseUsers reads "name", "uid", "uid:gid" or "first-last", ids in decimal. The group
// is the user's own; without an entry in the user database, and in a range, it has the
// user's number. The error says what is wrong with the text.
func ParseUsers(text string) (*Users, error) {
	who, group, grouped := strings.Cut(text, ":")
	first, last, ranged := strings.Cut(who, "-")
	low, err := strconv.Atoi(first)
	if err != nil && (!ranged || !allDigits(first)) {
		return namedUser(text)
	}
	high := low
	if ranged {
		if high, err = strconv.Atoi(last); err != nil || grouped {
			return nil, fmt.Errorf("%q is not a range of users: write first-last, such as 61000-61015", text)
		}
	}
	if low < 1 || high < low || high > maxID || high-low >= 1<<16 {
		return nil, fmt.Errorf("%q is not a user, or a range of at most 65536: write a name, or ids from 1 (0 is root, who is not kept apart from anything)", text)
	}
	if !ranged {
		gid := low
		if u, err := user.LookupId(first); err == nil {
			gid, _ = strconv.Atoi(u.Gid)
		}
		if grouped {
			if gid, err = strconv.Atoi(group); err != nil || gid < 1 || gid > maxID {
				return nil, fmt.Errorf("%q is not a group: write uid:gid, with a group id from 1", group)
			}
		}
		return newUsers(identity{low, gid}), nil
	}
	u := &Users{inUse: make([]bool, high-low+1)}
	for id := low; id <= high; id++ {
		u.ids = append(u.ids, identity{id, id})
	}
	return u, nil
}

func allDigits(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r < '0' || r > '9' })
}

func namedUser(name string) (*Users, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return nil, fmt.Errorf("there is no user %q: make one (useradd --system), or write an id such as 61000, which needs no entry", name)
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	if uid == 0 {
		return nil, fmt.Errorf("the user %q is root, who is not kept apart from anything: name another", name)
	}
	return newUsers(identity{uid, gid}), nil
}

func newUsers(one identity) *Users { return &Users{ids: []identity{one}, inUse: make([]bool, 1)} }

// Size is how many users there are; 1 is shared by all interpreters.
func (u *Users) Size() int { return len(u.ids) }

// Overlaps reports whether a user is among both.
func (u *Users) Overlaps(v *Users) bool {
	last := func(w *Users) int { return w.ids[len(w.ids)-1].uid }
	return u.ids[0].uid <= last(v) && v.ids[0].uid <= last(u)
}

// capabilities are what it takes to run interpreters as another user and to clean up
// after them, by their number in capabilities(7).
var capabilities = []struct {
	number uint
	name   string
}{
	{unix.CAP_SETUID, "CAP_SETUID"}, {unix.CAP_SETGID, "CAP_SETGID"}, {unix.CAP_KILL, "CAP_KILL"},
	{unix.CAP_CHOWN, "CAP_CHOWN"}, {unix.CAP_DAC_OVERRIDE, "CAP_DAC_OVERRIDE"},
}

// Check reports whether this process may start interpreters as these users and end
// them; the error is an ErrNoPrivilege that names what is missing.
func (u *Users) Check() error {
	if slices.ContainsFunc(u.ids, func(one identity) bool { return one.uid == os.Geteuid() }) {
		return fmt.Errorf("user %d is who this process runs as, so that nothing would be kept apart: name another, or leave user out", os.Geteuid())
	}
	content, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return fmt.Errorf("cannot find out what this process may do: %w", err)
	}
	_, after, _ := strings.Cut(string(content), "\nCapEff:")
	line, _, _ := strings.Cut(after, "\n")
	effective, err := strconv.ParseUint(strings.TrimSpace(line), 16, 64)
	if err != nil {
		return fmt.Errorf("cannot find out what this process may do: %w", err)
	}
	var missing []string
	for _, c := range capabilities {
		if effective&(1<<c.number) == 0 {
			missing = append(missing, c.name)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("cannot run interpreters as another user: %w (%s): run it as root or give it these capabilities, or leave user out", ErrNoPrivilege, strings.Join(missing, ", "))
	}
	return nil
}

// take returns a user for one interpreter; give returns it when that is gone.
func (u *Users) take() (identity, error) {
	if len(u.ids) == 1 {
		return u.ids[0], nil
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	free := slices.Index(u.inUse, false)
	if free < 0 {
		return identity{}, ErrUsersInUse
	}
	u.inUse[free] = true
	return u.ids[free], nil
}

func (u *Users) give(one identity) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if i := slices.Index(u.ids, one); i >= 0 {
		u.inUse[i] = false
	}
}
