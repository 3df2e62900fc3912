package stream

import (
	"container/list"
	"net/netip"
	"sync"
)

// maxLooks bounds the search for an idle connection among those that have been used
// least lately: nearly always the first one is.
const maxLooks = 16

// roster is who is connected. It is safe for concurrent use.
type roster struct {
	mutex   sync.Mutex
	all     list.List // of *Connection, that used least lately first
	clients map[netip.Addr]*list.List
}

// place is where a connection stands on the roster. The roster's mutex guards it.
type place struct {
	inAll, inClient *list.Element // nil where it does not stand there
}

// verdict is what becomes of a connection that has just come.
type verdict struct {
	// evicted is closed for it, nil for none.
	evicted *Connection
	// full and client say which bound it has met.
	full, client bool
	admitted     bool
}

// admit puts a connection on the roster, if need be in the place of an idle one, which
// the caller has to close.
func (r *roster) admit(c *Connection, options *Options) verdict {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	var v verdict
	mine := r.clients[c.remote.Addr()]
	switch {
	case mine != nil && mine.Len() >= options.PerClient:
		v.client = true
		v.evicted = idleOf(mine)
	case r.all.Len() >= options.Connections:
		v.full = true
		v.evicted = idleOf(&r.all)
	default:
		v.admitted = true
	}
	if v.evicted != nil {
		r.strike(v.evicted)
		v.admitted = true
	}
	if v.admitted {
		r.enter(c)
	}
	return v
}

// idleOf is the connection on a list that has been idle for longest, nil if there is none.
func idleOf(connections *list.List) *Connection {
	element := connections.Front()
	for range maxLooks {
		if element == nil {
			return nil
		}
		if c := element.Value.(*Connection); c.idle() {
			return c
		}
		element = element.Next()
	}
	return nil
}

// enter and strike have to be called with the mutex held.
func (r *roster) enter(c *Connection) {
	mine := r.clients[c.remote.Addr()]
	if mine == nil {
		mine = list.New()
		r.clients[c.remote.Addr()] = mine
	}
	c.place = place{inAll: r.all.PushBack(c), inClient: mine.PushBack(c)}
}

func (r *roster) strike(c *Connection) {
	if c.place.inAll == nil {
		return
	}
	address := c.remote.Addr()
	r.all.Remove(c.place.inAll)
	r.clients[address].Remove(c.place.inClient)
	if r.clients[address].Len() == 0 {
		delete(r.clients, address)
	}
	c.place = place{}
}

// used notes that a connection is being used.
func (r *roster) used(c *Connection) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if c.place.inAll != nil {
		r.all.MoveToBack(c.place.inAll)
		r.clients[c.remote.Addr()].MoveToBack(c.place.inClient)
	}
}

// leave takes a connection off the roster.
func (r *roster) leave(c *Connection) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.strike(c)
}

func (r *roster) open() int {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return r.all.Len()
}

// everyone lists who is connected.
func (r *roster) everyone() []*Connection {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	connections := make([]*Connection, 0, r.all.Len())
	for element := r.all.Front(); element != nil; element = element.Next() {
		connections = append(connections, element.Value.(*Connection))
	}
	return connections
}

// evictOne closes the connection that has been idle for longest.
func (r *roster) evictOne() {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if c := idleOf(&r.all); c != nil {
		r.strike(c)
		c.evict()
	}
}
