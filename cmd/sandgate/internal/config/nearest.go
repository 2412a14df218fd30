package config

// Nearest returns those of candidates that a name which is none of them may have been meant to be: the
// nearest, where they are near for so short a name. Two letters are near to too much.
func Nearest(name string, candidates []string) []string {
	if len(name) < 3 {
		return nil
	}
	var nearest []string
	distance := min(len(name)/2, 3)
	for _, candidate := range candidates {
		switch d := editDistance(name, candidate); {
		case d < distance:
			nearest, distance = []string{candidate}, d
		case d == distance:
			nearest = append(nearest, candidate)
		}
	}
	return nearest
}
