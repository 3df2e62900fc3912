package privatelink

import (
	"os"
	"time"
)

// watchInterval is how soon a changed rules or catalog file takes effect. The
// reload plugin watches the Corefile only.
const watchInterval = 5 * time.Second

// fileStamp tells a file's versions apart; the zero value is a file that cannot
// be read.
type fileStamp struct {
	modified time.Time
	size     int64
}

func stampsOf(paths []string) map[string]fileStamp {
	stamps := make(map[string]fileStamp, len(paths))
	for _, path := range paths {
		stamp := fileStamp{}
		if info, err := os.Stat(path); err == nil {
			stamp = fileStamp{modified: info.ModTime(), size: info.Size()}
		}
		stamps[path] = stamp
	}
	return stamps
}

// watch reloads the stanza when one of its files has changed, saves what is kept now
// and then, and tells the log what has changed around the server, until stop is closed.
func (r *running) watch(stop <-chan struct{}) {
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	saves := time.NewTicker(saveInterval)
	defer saves.Stop()
	looks := time.NewTicker(lookInterval)
	defer looks.Stop()
	for {
		select {
		case <-stop:
			return
		case <-ticker.C:
			r.reloadChangedFiles()
			r.expireOverrides(time.Now())
			r.tellSilentNetworks(time.Now())
			r.tellLimited()
			r.tellUncatalogued()
		case <-looks.C:
			r.tellUpstreams(time.Now())
		case <-saves.C:
			r.saveAnswers()
		}
	}
}

// saveAnswers is for the day on which nobody says goodbye.
func (r *running) saveAnswers() {
	directory := r.config.stateDirectory()
	if directory == "" {
		return
	}
	if err := r.shared.saveAnswers(directory, r.handler.current.Load().service.cache); err != nil {
		r.log.Warningf("trying again in %s: %s", saveInterval, err)
	}
}

// reloadChangedFiles puts the changed files in force, all of them or none. A
// version that has a mistake is reported once and leaves the old one in force.
func (r *running) reloadChangedFiles() {
	present := stampsOf(r.config.files)
	changed := ""
	for path, stamp := range present {
		if r.stamps[path] != stamp {
			changed = path
		}
	}
	if changed == "" {
		return
	}
	r.stamps = present
	dispenser := r.stanza
	parsed, err := parse(&dispenser)
	if err == nil {
		err = r.replace(parsed)
	}
	r.handler.current.Load().metrics.reloaded(err == nil)
	if err != nil {
		r.log.Errorf("%s changed but has a mistake, the version before stays in force: %s", changed, err)
		return
	}
	r.log.Infof("%s changed and is in force", changed)
}

// replace puts a new configuration of the same stanza in force. What is in
// flight on servers that are no longer named is given the time to end.
func (r *running) replace(parsed *config) error {
	parsed.keptAs = r.config.keptAs // changed files declare no groups
	built, err := build(parsed, r.shared)
	if err != nil {
		return err
	}
	old := r.handler.current.Load()
	built.policy.Chains, built.cache = old.service.policy.Chains, old.service.cache
	r.handler.put(built, old.metrics.collectors)
	r.config = parsed
	time.AfterFunc(replyTime, func() { r.shared.release(old.service.lease) })
	return nil
}
