package privatelink

import (
	"context"
	"time"

	"github.com/miekg/dns"

	"github.com/privatelink-dns/privatelink-dns/plugin/upstream"
	"github.com/privatelink-dns/privatelink-dns/plugin/wire"
)

// askedGroup is a question that was put to an upstream group, and what came of it.
type askedGroup struct {
	question upstream.Question
	// answer is nil where no server of the group gave one.
	answer *upstream.Answer
	// received is when the answer came, or the group was given up.
	received time.Time
	// vain are the attempts at servers that gave none.
	vain []upstream.Attempt
}

// exchange puts the outcome's question, for its name of the chain, to a group.
func (o *outcome) exchange(ctx context.Context, group *upstream.Group) (*upstream.Answer, error) {
	answer, err := group.Exchange(ctx, o.query.question())
	o.noteAsked(answer, err, time.Now())
	return answer, err
}

// noteAsked remembers what became of a question to a group. The attempts are those of
// this question alone: an answer may be given others' later on.
func (o *outcome) noteAsked(answer *upstream.Answer, err error, now time.Time) {
	vain := attemptsOf(err)
	if answer != nil {
		vain = answer.Attempts
	}
	if answer != nil || len(vain) > 0 {
		o.groups = append(o.groups, askedGroup{question: o.query.question(), answer: answer, received: now, vain: vain})
	}
}

// packed is the question as a message: as it was sent, save for the message ID, which
// differs from server to server, and for EDNS options, cookies among them.
func (a *askedGroup) packed() []byte {
	q := &a.question
	message := dns.Msg{Question: []dns.Question{{Name: q.Name, Qtype: q.Type, Qclass: q.Class}}}
	message.RecursionDesired, message.CheckingDisabled, message.AuthenticatedData = true, q.CD, true
	message.SetEdns0(wire.AdvertisedSize, q.DO)
	packed, err := message.Pack()
	if err != nil {
		return nil // it was sent, so it can be packed
	}
	return packed
}
