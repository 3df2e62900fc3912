package privatelink

import (
	"context"
	"sync"
	"time"
)

// sharing is for how long one context is handed out.
const sharing = 10 * time.Millisecond

// deadlines hand out contexts that end so much later and cannot be cancelled, the same
// one to all who ask in the same moment: one for each would be 5 % of a miss. They are
// safe for concurrent use; the zero value is ready.
type deadlines struct {
	mutex sync.Mutex
	ctx   context.Context
	// release frees what ctx holds, which its end does, too.
	release context.CancelFunc
	until   time.Time
}

// after returns a context that ends a while after now, or up to the moment that is
// shared sooner.
func (d *deadlines) after(while time.Duration) context.Context {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	if now := time.Now(); !now.Before(d.until) {
		d.ctx, d.release = context.WithTimeout(context.Background(), while)
		d.until = now.Add(sharing)
	}
	return d.ctx
}
