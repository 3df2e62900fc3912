// Package replay asks the questions of a query log again and tells which answers
// change, and how bad that is.
//
// It knows what a log says of questions and answers, and when two answers are the
// same to a client. It does not know who is asked, nor how a message looks.
package replay

import (
	"context"
	"sync"
	"time"

	"github.com/privatelink-dns/privatelink-dns/plugin/logreport"
)

// Ask asks one question. An error says that it cannot be asked at all; that no answer
// came is an answer with the rcode SERVFAIL. It is called by several goroutines.
type Ask func(ctx context.Context, question logreport.Question) (logreport.Answer, error)

// Options say how questions are asked, and answers compared.
type Options struct {
	// Rate is how many questions are asked in a second, 1 to MaxRate.
	Rate int
	// Strict compares the addresses and chains of public answers, too.
	Strict bool
	// Progress is told after each question how many are done and how many answers
	// changed; it may be nil. It is called by one goroutine at a time.
	Progress func(done, changed int)
}

// MaxRate is more than any upstream of ours takes.
const MaxRate = 10_000

// maxOutstanding bounds the questions that wait for an answer: half of what
// 168.63.129.16 has for a virtual machine, so that a server on the same one goes on.
const maxOutstanding = 100

// Change is an answer that is not what it was.
type Change struct {
	logreport.Question
	Kind Kind
	// From and To are the states of the answers.
	From, To State
	// Now is the new answer; the question has the one of the log.
	Now logreport.Answer
}

// Unaskable is a question that could not be asked.
type Unaskable struct {
	Name   string `json:"name"`
	Type   string `json:"type"`
	Reason string `json:"reason"`
}

// maxUnaskable is how many are told; all are counted.
const maxUnaskable = 5

// Result is what asking again came to.
type Result struct {
	// Asked is how many questions were asked, Same how many answers are as they were.
	Asked, Same int
	// Left is how many were not asked because ctx ended.
	Left int
	// Changes are by kind, the worst first, and by how often they were asked.
	Changes []Change
	// Unasked could not be asked at all; Unaskable are the first few.
	Unasked   int
	Unaskable []Unaskable
}

// Run asks every question once, in order, and compares. When ctx ends it asks no more
// and returns what it has. It waits for every question that it has asked.
func Run(ctx context.Context, questions []logreport.Question, ask Ask, options Options) *Result {
	r := &run{ask: ask, options: options, places: make(chan struct{}, maxOutstanding), result: &Result{}}
	gap := time.Second / time.Duration(min(max(options.Rate, 1), MaxRate))
	turn := time.NewTimer(0)
	defer turn.Stop()
	next := time.Now()
	for index := range questions {
		if !r.wait(ctx, turn) {
			r.leave(len(questions) - index)
			break
		}
		r.asking.Go(func() { r.askOne(ctx, questions[index]) })
		// What was late is not made up for: that would be a burst.
		next = next.Add(gap)
		if now := time.Now(); next.Before(now) {
			next = now
		}
		turn.Reset(time.Until(next))
	}
	r.asking.Wait()
	sortChanges(r.result.Changes)
	return r.result
}

// run is one call of Run.
type run struct {
	ask     Ask
	options Options
	// places are those of the questions that wait for an answer.
	places chan struct{}
	asking sync.WaitGroup

	mutex  sync.Mutex
	result *Result
}

// wait waits for a turn and a place, and returns false when ctx ends before.
func (r *run) wait(ctx context.Context, turn *time.Timer) bool {
	select {
	case <-turn.C:
	case <-ctx.Done():
		return false
	}
	select {
	case r.places <- struct{}{}:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// leave counts questions that are not asked any more.
func (r *run) leave(count int) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.result.Left += count
}

func (r *run) askOne(ctx context.Context, question logreport.Question) {
	answer, err := r.ask(ctx, question)
	<-r.places
	r.mutex.Lock()
	defer r.mutex.Unlock()
	found := r.result
	switch {
	case ctx.Err() != nil:
		found.Left++ // it may have failed for that reason
		return
	case err != nil:
		if found.Unasked++; len(found.Unaskable) < maxUnaskable {
			found.Unaskable = append(found.Unaskable, Unaskable{Name: question.Name, Type: question.Type, Reason: err.Error()})
		}
	default:
		found.Asked++
		if change, changed := compare(question, answer, r.options.Strict); changed {
			found.Changes = append(found.Changes, change)
		} else {
			found.Same++
		}
	}
	if r.options.Progress != nil {
		r.options.Progress(found.Asked+found.Unasked, len(found.Changes))
	}
}
