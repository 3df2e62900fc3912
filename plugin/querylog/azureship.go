package querylog

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
)

const (
	// senders is how many calls are under way at once: at 200 ms a call that is
	// 20 MB/s, more than half of what a rule takes in a minute.
	senders = 4
	// maxWaiting bounds what waits in memory, in compressed bytes.
	maxWaiting    = 16 << 20
	minPause      = time.Second
	maxPause      = time.Minute
	maxRetryAfter = time.Hour
)

// shipper sends shipments, each until it is taken, refused for good, or has no
// room to wait. It is safe for concurrent use.
type shipper struct {
	upload func(ctx context.Context, body []byte) error
	spool  *spool // nil where there is none
	ctx    context.Context
	cancel context.CancelFunc
	// wake has one for each sender; the first is the one who tries while calls fail.
	wake  [senders]chan struct{}
	done  sync.WaitGroup
	begun bool

	mutex   sync.Mutex
	waiting []shipment
	bytes   int
	// failing is why the last call failed; nil where it did not. Then only one
	// sender tries, after resume, with pauses that double.
	failing error
	pause   time.Duration
	resume  time.Time
	closing bool
	// lost is not yet told.
	lost int
}

func newShipper(upload func(context.Context, []byte) error, kept *spool) *shipper {
	s := &shipper{upload: upload, spool: kept}
	for number := range s.wake {
		s.wake[number] = make(chan struct{}, 1)
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// begin starts the senders, once, and takes the spool as soon as it can be had.
// It is called by the outlet's goroutine.
func (s *shipper) begin() {
	s.claim()
	if s.begun {
		return
	}
	s.begun = true
	for number := range senders {
		s.done.Go(func() { s.send(number) })
	}
}

// claim takes the spool over from an instance that has ended.
func (s *shipper) claim() {
	s.mutex.Lock()
	claimed := s.spool != nil && s.spool.claim()
	s.mutex.Unlock()
	if claimed {
		s.rouse()
	}
}

// add takes a shipment over. While calls fail it goes to the spool at once: what
// is on disk survives us.
func (s *shipper) add(b shipment) {
	s.mutex.Lock()
	s.keep(b, s.failing != nil)
	s.mutex.Unlock()
	s.rouse()
}

// keep puts a shipment where there is room for it, or counts it as lost.
func (s *shipper) keep(b shipment, onDisk bool) {
	if b.file != nil {
		s.spool.release(b.file)
		return
	}
	room := s.bytes+len(b.body) <= maxWaiting
	if s.spool.isOurs() && (onDisk || !room) {
		lost, err := s.spool.put(b)
		s.lost += lost
		if err == nil {
			return
		}
		s.failing = err
	}
	if !room {
		s.lost += b.records
		return
	}
	s.waiting, s.bytes = append(s.waiting, b), s.bytes+len(b.body)
}

// rouse wakes the senders that sleep.
func (s *shipper) rouse() {
	for _, wake := range s.wake {
		select {
		case wake <- struct{}{}:
		default:
		}
	}
}

// news returns what was lost since it was asked last, and the state.
func (s *shipper) news() (lost int, err error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	lost, s.lost = s.lost, 0
	return lost, s.failing
}

// send is a sender.
func (s *shipper) send(number int) {
	for {
		b, wait, ended := s.next(number == 0, time.Now())
		if ended {
			return
		}
		if b.records > 0 {
			s.answer(b, s.upload(s.ctx, b.body))
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-s.wake[number]:
		case <-timer.C:
		case <-s.ctx.Done():
		}
		timer.Stop()
	}
}

// next returns what to send, new shipments before spooled ones, or how long to
// wait for some.
func (s *shipper) next(isFirst bool, now time.Time) (b shipment, wait time.Duration, ended bool) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.isOver(isFirst) {
		return shipment{}, 0, true
	}
	if s.failing != nil && (!isFirst || now.Before(s.resume)) {
		return shipment{}, max(s.resume.Sub(now), minPause), false
	}
	if len(s.waiting) > 0 {
		b, s.waiting[0] = s.waiting[0], shipment{}
		s.waiting, s.bytes = s.waiting[1:], s.bytes-len(b.body)
		return b, 0, false
	}
	if s.spool.isOurs() {
		var lost int
		b, lost = s.spool.take()
		s.lost += lost
	}
	return b, maxPause, false
}

// isOver tells a sender to end. A shutdown sends what is in memory and leaves
// the spool to the next start; where calls fail, only the first sender stays,
// and only if there is no spool to put the rest into.
func (s *shipper) isOver(isFirst bool) bool {
	switch {
	case s.ctx.Err() != nil:
		return true
	case !s.closing:
		return false
	case s.failing != nil:
		return !isFirst || s.spool.isOurs() || len(s.waiting) == 0
	}
	return len(s.waiting) == 0
}

// answer is told what became of a call.
func (s *shipper) answer(b shipment, err error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if err == nil || isRefused(err) {
		if err != nil {
			s.lost += b.counted()
		}
		if b.file != nil {
			s.spool.remove(b.file)
		}
		s.failing, s.pause = explain(err), 0
		s.rouse()
		return
	}
	now := time.Now()
	if s.failing == nil || !now.Before(s.resume) {
		// Senders who fail at once have failed once.
		s.pause = min(max(2*s.pause, minPause), maxPause)
	}
	s.failing = explain(err)
	pause := retryAfter(err, now)
	if pause == 0 {
		// Jitter keeps a fleet from coming back in step.
		pause = s.pause/2 + rand.N(s.pause/2+1)
	}
	if resume := now.Add(pause); resume.After(s.resume) {
		s.resume = resume
	}
	s.keep(b, true)
	s.rouse()
}

// counted is how many records the shipment stands for in our figures: those of
// an earlier process are not in them.
func (b shipment) counted() int {
	if b.file != nil && b.file.earlier {
		return 0
	}
	return b.records
}

// close sends what is in memory until ctx ends, and keeps the rest in the spool.
func (s *shipper) close(ctx context.Context) (lost int, err error) {
	s.mutex.Lock()
	s.closing = true
	s.mutex.Unlock()
	s.rouse()
	stop := context.AfterFunc(ctx, s.cancel)
	s.done.Wait()
	stop()
	s.cancel()
	s.mutex.Lock()
	defer s.mutex.Unlock()
	left, failing := s.waiting, s.failing
	s.waiting = nil
	for _, b := range left {
		if !s.spool.isOurs() {
			s.lost += b.records
			continue
		}
		dropped, err := s.spool.put(b)
		s.lost += dropped
		if err != nil {
			s.lost += b.records
		}
	}
	s.spool.leave()
	lost, s.lost = s.lost, 0
	if lost == 0 {
		return 0, nil
	}
	return lost, fmt.Errorf("%d records could not be sent: %w", lost, failing)
}

// isRefused reports whether the same call would be refused again. No right, and
// no such rule, are mended on the other side: a new role takes minutes to work.
func isRefused(err error) bool {
	response, ok := errors.AsType[*azcore.ResponseError](err)
	if !ok {
		return false
	}
	switch response.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusRequestTimeout, http.StatusTooManyRequests:
		return false
	}
	return response.StatusCode >= 400 && response.StatusCode < 500
}

// explain makes one line of the library's page of text.
func explain(err error) error {
	if response, ok := errors.AsType[*azcore.ResponseError](err); ok {
		return fmt.Errorf("the Azure Monitor endpoint answered %d %s %s", response.StatusCode, http.StatusText(response.StatusCode), response.ErrorCode)
	}
	if err != nil {
		return fmt.Errorf("sending to Azure Monitor: %s", strings.Join(strings.Fields(err.Error()), " "))
	}
	return nil
}

// retryAfter is the pause that a reply asks for (RFC 9110, 10.2.3: seconds or a
// date); 0 where it asks for none.
func retryAfter(err error, now time.Time) time.Duration {
	response, ok := errors.AsType[*azcore.ResponseError](err)
	if !ok || response.RawResponse == nil {
		return 0
	}
	value := response.RawResponse.Header.Get("Retry-After")
	if seconds, err := strconv.Atoi(value); err == nil {
		return min(max(time.Duration(seconds)*time.Second, 0), maxRetryAfter)
	}
	if date, err := http.ParseTime(value); err == nil {
		return min(max(date.Sub(now), 0), maxRetryAfter)
	}
	return 0
}
