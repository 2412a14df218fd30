package docker

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/sandgate/sandgate/sandbox"
)

// Labels of every container that a driver makes. Nothing that a client of the gateway sends becomes a
// label, so they cannot be forged.
const (
	labelOwner    = "sandgate.owner"    // the deployment
	labelTemplate = "sandgate.template" // Spec.Template
	labelEpoch    = "sandgate.epoch"    // of the driver that made it
	labelCreated  = "sandgate.created"  // RFC 3339
	labelSpec     = "sandgate.spec"     // Spec as JSON
	labelUID      = "sandgate.uid"      // of the user inside
)

// identity is what the labels of a container say.
type identity struct {
	owner   string
	epoch   uint64
	created time.Time
	uid     int
	spec    sandbox.Spec
}

func (id identity) labels() (map[string]string, error) {
	spec, err := json.Marshal(id.spec)
	if err != nil {
		return nil, fmt.Errorf("label of spec: %w", err)
	}
	return map[string]string{
		labelOwner:    id.owner,
		labelTemplate: id.spec.Template,
		labelEpoch:    strconv.FormatUint(id.epoch, 10),
		labelCreated:  id.created.UTC().Format(time.RFC3339),
		labelSpec:     string(spec),
		labelUID:      strconv.Itoa(id.uid),
	}, nil
}

// parseLabels is the inverse of labels. Containers of this owner that some other program has labelled
// badly are told by the error.
func parseLabels(labels map[string]string) (identity, error) {
	id := identity{owner: labels[labelOwner]}
	var err error
	if id.epoch, err = strconv.ParseUint(labels[labelEpoch], 10, 64); err != nil {
		return id, fmt.Errorf("label %s: %w", labelEpoch, err)
	}
	if id.created, err = time.Parse(time.RFC3339, labels[labelCreated]); err != nil {
		return id, fmt.Errorf("label %s: %w", labelCreated, err)
	}
	if id.uid, err = parseUID(labels); err != nil {
		return id, err
	}
	if err := json.Unmarshal([]byte(labels[labelSpec]), &id.spec); err != nil {
		return id, fmt.Errorf("label %s: %w", labelSpec, err)
	}
	return id, nil
}

func parseUID(labels map[string]string) (int, error) {
	uid, err := strconv.Atoi(labels[labelUID])
	if err != nil {
		return 0, fmt.Errorf("label %s: %w", labelUID, err)
	}
	if uid < firstUID || uid >= firstUID+uidCount {
		return 0, fmt.Errorf("label %s: %d is out of range", labelUID, uid)
	}
	return uid, nil
}
