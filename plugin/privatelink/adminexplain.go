package privatelink

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// enlist lets the admin socket explain what a handler does. Where is its stanza's
// place. It counts until the handler's lease is released.
func (s *slot) enlist(handler *Handler, where string) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.handlers[handler] = where
}

// enlisted are the handlers at work, by the place of their stanza.
func (s *slot) enlisted() map[string]*Handler {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	working := map[string]*Handler{}
	for handler, where := range s.handlers {
		if handler.current.Load().service.lease.released {
			delete(s.handlers, handler)
			continue
		}
		working[where] = handler
	}
	return working
}

// explain answers POST /explain: an ExplainRequest brings an Explanation.
func (a *admin) explain(w http.ResponseWriter, r *http.Request) {
	var request ExplainRequest
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequestSize))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&request); err != nil {
		http.Error(w, "reading the request: "+err.Error(), http.StatusBadRequest)
		return
	}
	handler, err := a.shared.handlerOf(request.Stanza)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	explanation, err := handler.current.Load().service.explain(r.Context(), request)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	explanation.Running = true
	answerJSON(w, explanation)
}

// handlerOf is the handler of a stanza, or the only one.
func (s *slot) handlerOf(stanza string) (*Handler, error) {
	working := s.enlisted()
	if handler := working[stanza]; handler != nil {
		return handler, nil
	}
	places := slices.Sorted(maps.Keys(working))
	if stanza == "" && len(places) == 1 {
		return working[places[0]], nil
	}
	return nil, fmt.Errorf("found stanza %q, expected one of %s", stanza, strings.Join(places, ", "))
}
