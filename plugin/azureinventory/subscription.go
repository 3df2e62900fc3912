package azureinventory

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/dnsresolver/armdnsresolver"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/network/armnetwork/v8"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/privatedns/armprivatedns"

	"github.com/privatelink-dns/privatelink-dns/plugin/audit"
)

// subscription is one subscription that is being read.
type subscription struct {
	*Reader
	id        string
	zones     *armprivatedns.ClientFactory
	resolvers *armdnsresolver.ClientFactory
	network   *armnetwork.ClientFactory
	inventory *audit.Inventory
}

func (r *Reader) open(id string) (*subscription, error) {
	s := &subscription{Reader: r, id: id}
	var mistakes [3]error
	s.zones, mistakes[0] = armprivatedns.NewClientFactory(id, r.credential, r.client)
	s.resolvers, mistakes[1] = armdnsresolver.NewClientFactory(id, r.credential, r.client)
	s.network, mistakes[2] = armnetwork.NewClientFactory(id, r.credential, r.client)
	return s, errors.Join(mistakes[:]...)
}

// maxPages bounds what one list may be: a page is 100 items as a rule, and a zone has at
// most 25,000 record sets.
const maxPages = 2000

// collect reads every page of a list. A provider that is not registered in the
// subscription has nothing in it.
func collect[P, T any](ctx context.Context, pager *runtime.Pager[P], items func(P) []*T) ([]*T, error) {
	var all []*T
	for range maxPages {
		if !pager.More() {
			return all, nil
		}
		page, err := pager.NextPage(ctx)
		if response, is := errors.AsType[*azcore.ResponseError](err); is && response.ErrorCode == "MissingSubscriptionRegistration" {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		for _, item := range items(page) {
			if item != nil {
				all = append(all, item)
			}
		}
	}
	return nil, fmt.Errorf("found a list that does not end after %d pages, expected fewer", maxPages)
}

// abreast is how many requests are under way at once: enough to hide the way there,
// and below what Azure throttles for long.
const abreast = 4

// each does work for 0 to count-1, a few at a time, and shows the progress. The first
// error ends it.
func (s *subscription) each(ctx context.Context, what string, count int, work func(ctx context.Context, index int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	indexes := make(chan int)
	var working sync.WaitGroup
	for range min(abreast, count) {
		working.Go(func() {
			for index := range indexes {
				if err := work(ctx, index); err != nil {
					cancel(err)
				}
			}
		})
	}
	for index := range count {
		s.progress(what, index, count)
		select {
		case indexes <- index:
			continue
		case <-ctx.Done():
		}
		break
	}
	close(indexes)
	working.Wait()
	return context.Cause(ctx)
}

// parent is the resource group and name of a resource, of which more is read.
func parent(id string) (group, name string, err error) {
	parsed, err := arm.ParseResourceID(id)
	if err != nil {
		return "", "", fmt.Errorf("found a resource with the ID %q, expected one of Azure Resource Manager: %w", id, err)
	}
	return parsed.ResourceGroupName, parsed.Name, nil
}

// of is what a pointer leads to, the zero value where it is nil: the library has
// pointers for everything.
func of[T any](pointer *T) T {
	if pointer == nil {
		var zero T
		return zero
	}
	return *pointer
}

// text is a string of the library's, of whatever type.
func text[T ~string](pointer *T) string { return string(of(pointer)) }

// texts are several, without those that are nil.
func texts[T ~string](pointers []*T) []string {
	var all []string
	for _, pointer := range pointers {
		if pointer != nil {
			all = append(all, string(*pointer))
		}
	}
	return all
}

// addresses are those of texts that are addresses; what is none is of no use to anybody.
func addresses(written []string) []netip.Addr {
	var all []netip.Addr
	for _, word := range written {
		if address, err := netip.ParseAddr(word); err == nil {
			all = append(all, address.Unmap())
		}
	}
	return all
}

// qualified is a name as plugin/audit has names.
func qualified(name string) string {
	return strings.ToLower(strings.TrimSuffix(name, ".")) + "."
}
