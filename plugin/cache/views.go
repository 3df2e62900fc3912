package cache

import (
	"slices"
	"sync"
	"sync/atomic"
)

// views are names of views. Zero is the empty one only. They are safe for concurrent
// use.
type views struct {
	mutex sync.Mutex
	named atomic.Pointer[[]string] // read only
}

// Views returns the views under which anything was kept since the cache was made, and
// always that of no name. They are few: they come from a configuration, or several.
func (c *Cache) Views() []string {
	return append([]string{""}, c.views.list()...)
}

func (v *views) list() []string {
	if named := v.named.Load(); named != nil {
		return *named
	}
	return nil
}

// note takes in a view under which something is kept.
func (v *views) note(view string) {
	if view == "" || slices.Contains(v.list(), view) {
		return
	}
	v.mutex.Lock()
	defer v.mutex.Unlock()
	if known := v.list(); !slices.Contains(known, view) {
		named := append(slices.Clone(known), view)
		v.named.Store(&named)
	}
}
