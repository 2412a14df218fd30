package media

// eachBox calls do for the boxes of an ISO base media file, or of one of its boxes (ISO 14496-12, 4.2). It
// returns false where one goes beyond the end.
func eachBox(v view, do func(kind string, box view)) bool {
	for at := 0; at+8 <= len(v.data); {
		size, head := v.u32(at), 8
		switch size {
		case 0: // up to the end
			size = len(v.data) - at
		case 1:
			size, head = v.u64(at+8), 16
		}
		if size < head {
			return false
		}
		do(v.text(at+4, 4), big(v.bytes(at+head, size-head)))
		if size > len(v.data)-at {
			return false
		}
		at += size
	}
	return true
}

// child returns the first box that a path of kinds leads to, empty where there is none.
func child(v view, path ...string) view {
	for _, kind := range path {
		var found *view
		eachBox(v, func(k string, box view) {
			if found == nil && k == kind {
				found = &box
			}
		})
		if found == nil {
			return big(nil)
		}
		v = *found
	}
	return v
}

// after returns what is after the first n bytes of a view.
func (v view) after(n int) view { return view{data: v.bytes(n, len(v.data)), order: v.order} }
