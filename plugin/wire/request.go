package wire

import (
	"encoding/hex"
	"errors"
	"net/netip"

	"github.com/miekg/dns"
)

// QueryOf reads a request that was unpacked already, with the same result as
// ReadQuery has for its bytes. What only the bytes can tell - something behind
// the end of the message - is not seen. It overwrites q and keeps nothing of the
// request, which it does not change.
func QueryOf(request *dns.Msg, overTCP bool, q *Query) error {
	*q = Query{
		ID: request.Id, Opcode: uint8(request.Opcode),
		RD: request.RecursionDesired, AD: request.AuthenticatedData, CD: request.CheckingDisabled,
		Size: sizeWithoutEDNS(overTCP),
	}
	switch {
	case request.Response:
		return ErrReply
	case request.Opcode != dns.OpcodeQuery:
		if len(request.Question) == 1 && q.takeQuestion(request.Question[0]) == nil {
			_ = q.takeRecords(request, overTCP)
		}
		return ErrOpcode
	case len(request.Question) != 1:
		return ErrQuestions
	}
	if err := q.takeQuestion(request.Question[0]); err != nil {
		return errors.Join(ErrMalformed, err)
	}
	err := q.takeRecords(request, overTCP)
	q.boundANY(overTCP)
	return err
}

func (q *Query) takeQuestion(asked dns.Question) error {
	length, err := packName(asked.Name, &q.spelling)
	if err != nil {
		return err
	}
	q.Question = Question{length: uint8(length), Type: asked.Qtype, Class: asked.Qclass}
	for i, c := range q.spelling[:length] {
		q.Question.name[i] = lower(c)
	}
	return nil
}

func (q *Query) takeRecords(request *dns.Msg, overTCP bool) error {
	unusual := false
	var failure error
	for i, section := range [...][]dns.RR{request.Answer, request.Ns, request.Extra} {
		for _, extra := range section {
			opt, isOPT := extra.(*dns.OPT)
			if !isOPT {
				unusual = true
				continue
			}
			if err := q.takeOPT(opt, i == 2, overTCP); failure == nil {
				failure = err
			}
		}
	}
	if failure == nil && unusual {
		return ErrUnusual
	}
	return failure
}

func (q *Query) takeOPT(opt *dns.OPT, additional, overTCP bool) error {
	switch {
	case q.EDNS:
		return ErrOptions
	case !additional || opt.Hdr.Name != ".":
		return ErrMalformed
	}
	q.EDNS = true
	q.DO = opt.Do()
	q.Size = sizeWithEDNS(opt.UDPSize(), overTCP)
	if opt.Version() != 0 {
		return ErrVersion
	}
	for _, option := range opt.Option {
		if err := q.takeOption(option); err != nil {
			return err
		}
	}
	return nil
}

func (q *Query) takeOption(option dns.EDNS0) error {
	switch option := option.(type) {
	case *dns.EDNS0_TCP_KEEPALIVE:
		return q.readOption(optionTCPKeepAlive, nil)
	case *dns.EDNS0_SUBNET:
		address, _ := netip.AddrFromSlice(option.Address)
		if address = address.Unmap(); option.Family == 2 && address.Is4() {
			address = netip.AddrFrom16(address.As16())
		}
		q.ClientSubnet, _ = address.Prefix(int(option.SourceNetmask))
	case *dns.EDNS0_LOCAL:
		q.keepLocal(option.Code, option.Data)
	case *dns.EDNS0_COOKIE:
		data, err := hex.DecodeString(option.Cookie)
		if err != nil {
			return errors.Join(ErrMalformed, err)
		}
		return q.readOption(optionCookie, data)
	}
	return nil
}
