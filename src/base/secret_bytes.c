/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Memory for secrets (see the header). An area is one mapping with an inaccessible page at either
 * end. Small blocks share areas of AREA bytes, which are divided into units. A map in ordinary
 * memory has the first unit of each block and its number of units. A larger block has its own area,
 * which is unmapped when it is freed. Shared areas are never unmapped, because they are few and
 * locking an area is a system call.
 *
 * Free memory is always zero, because freeing wipes it. The lock guards the list of areas and their
 * maps.
 */
#include <base/secret_bytes.h>

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/log.h>
#include <base/test_point.h>

#define AREA  (64u * 1024)
#define UNIT  32u
#define UNITS (AREA / UNIT)

typedef struct Area Area;

struct Area {
    Area *next;
    uint8_t *data;
    size_t size; /* bytes between the guard pages */
    gboolean shared;
    guint used;       /* units in use, of a shared area */
    uint16_t units[]; /* of a shared area: at a block's first unit the block's number of units,
                         elsewhere 0 */
};

static GMutex lock;
static Area *areas;
static gboolean some_unlocked;
static gint dumps_allowed; /* atomic */

/* --- areas ------------------------------------------------------------------------------------ */

static size_t page_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

/* Protects an area. If it cannot be locked, it is still excluded from dumps and wiped on fork. */
static void protect_area(uint8_t *data, size_t size)
{
    madvise(data, size, MADV_DONTDUMP);
    madvise(data, size, MADV_WIPEONFORK);
    if (mlock(data, size) == 0 || some_unlocked)
        return;
    some_unlocked = TRUE;
    cst_log(CST_LOG_WARNING,
            _("values of secrets may be swapped to the disk: memory cannot be locked: %s; raise "
              "its limit (LimitMEMLOCK=)"),
            g_strerror(errno));
}

/* Called with the lock held. */
static Area *area_new(size_t size, gboolean shared)
{
    size_t page = page_size(), inside = (size + page - 1) / page * page;
    uint8_t *all;
    Area *area;

    all = mmap(NULL, inside + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (all == MAP_FAILED)
        return NULL;
    if (!areas)
        cst_secret_process_protect();
    if (mprotect(all + page, inside, PROT_READ | PROT_WRITE) < 0) {
        munmap(all, inside + 2 * page);
        return NULL;
    }
    protect_area(all + page, inside);
    area = g_malloc0(sizeof(*area) + (shared ? UNITS * sizeof(area->units[0]) : 0));
    area->shared = shared;
    area->data = all + page;
    area->size = inside;
    area->next = areas;
    areas = area;
    return area;
}

/* Called with the lock held. */
static void area_free(Area *area)
{
    size_t page = page_size();
    Area **at = &areas;

    while (*at != area)
        at = &(*at)->next;
    *at = area->next;
    munmap(area->data - page, area->size + 2 * page);
    g_free(area);
}

/* --- blocks ----------------------------------------------------------------------------------- */

static guint units_of(size_t size)
{
    return (guint)((size + UNIT - 1) / UNIT);
}

/* Returns the first of @count consecutive free units, or UNITS if no run is long enough. */
static guint find_units(const Area *area, guint count)
{
    guint at = 0, run = 0;

    while (at < UNITS && run < count) {
        if (area->units[at]) {
            at += area->units[at];
            run = 0;
        } else {
            at++;
            run++;
        }
    }
    return run == count ? at - count : UNITS;
}

static uint8_t *take_shared(size_t size)
{
    guint count = units_of(size), at = UNITS;
    Area *area;

    for (area = areas; area; area = area->next)
        if (area->shared && UNITS - area->used >= count && (at = find_units(area, count)) < UNITS)
            break;
    if (!area) {
        area = area_new(AREA, TRUE);
        at = 0;
    }
    if (!area)
        return NULL;
    area->units[at] = (uint16_t)count;
    area->used += count;
    return area->data + (size_t)at * UNIT;
}

static uint8_t *bytes_allocate(size_t size)
{
    Area *area;
    uint8_t *data;

    g_mutex_lock(&lock);
    if (size <= AREA / 4) {
        data = take_shared(size);
    } else {
        area = area_new(size, FALSE);
        data = area ? area->data : NULL;
    }
    g_mutex_unlock(&lock);
    return data;
}

static void give_back(uint8_t *data)
{
    Area *area;

    CST_TEST_POINT("secret_bytes.free");
    g_mutex_lock(&lock);
    area = areas;
    while (data < area->data || data >= area->data + area->size)
        area = area->next;
    if (area->shared) {
        size_t at = (size_t)(data - area->data) / UNIT;

        explicit_bzero(data, (size_t)area->units[at] * UNIT);
        area->used -= area->units[at];
        area->units[at] = 0;
    } else {
        explicit_bzero(area->data, area->size);
        area_free(area);
    }
    g_mutex_unlock(&lock);
}

/* --- values ----------------------------------------------------------------------------------- */

gboolean cst_secret_bytes_alloc(CstSecretBytes *ret_bytes, size_t len, GError **error)
{
    uint8_t *data = len < G_MAXSIZE / 2 ? bytes_allocate(len + 1) : NULL;

    if (!data)
        return cst_fail(error, CST_ERROR_NO_MEMORY, _("no memory for a secret of %zu bytes"), len);
    *ret_bytes = (CstSecretBytes){data, len};
    return TRUE;
}

gboolean cst_secret_bytes_copy(CstSecretBytes *ret_bytes, const void *data, size_t len,
                               GError **error)
{
    if (!cst_secret_bytes_alloc(ret_bytes, len, error))
        return FALSE;
    if (len > 0)
        memcpy(ret_bytes->data, data, len);
    return TRUE;
}

void cst_secret_bytes_clear(CstSecretBytes *bytes)
{
    if (bytes->data)
        give_back(bytes->data);
    *bytes = (CstSecretBytes){0};
}

gboolean cst_secret_bytes_to_base64(CstSecretBytes *ret_text, const CstSecretBytes *bytes,
                                    GError **error)
{
    gint state = 0, save = 0;
    gsize len;

    /* The most bytes that GLib's steps may write. */
    if (!cst_secret_bytes_alloc(ret_text, (bytes->len / 3 + 1) * 4 + 4, error))
        return FALSE;
    len = g_base64_encode_step(bytes->data, bytes->len, FALSE, (gchar *)ret_text->data, &state,
                               &save);
    len += g_base64_encode_close(FALSE, (gchar *)ret_text->data + len, &state, &save);
    ret_text->data[len] = '\0';
    ret_text->len = len;
    return TRUE;
}

gboolean cst_secret_bytes_from_base64(CstSecretBytes *ret_bytes, const char *text, size_t len,
                                      GError **error)
{
    gint state = 0;
    guint save = 0;

    if (!cst_secret_bytes_alloc(ret_bytes, (len / 4 + 1) * 3 + 3, error))
        return FALSE;
    ret_bytes->len = g_base64_decode_step(text, len, ret_bytes->data, &state, &save);
    return TRUE;
}

gboolean cst_secret_bytes_locked(void)
{
    gboolean locked;

    g_mutex_lock(&lock);
    locked = !some_unlocked;
    g_mutex_unlock(&lock);
    return locked;
}

void cst_secret_process_protect(void)
{
    const struct rlimit none = {0, 0};

    if (g_atomic_int_get(&dumps_allowed))
        return;
    /* The limit is for a host with fs.suid_dumpable set, which dumps core despite the flag. */
    prctl(PR_SET_DUMPABLE, 0);
    setrlimit(RLIMIT_CORE, &none);
}

void cst_secret_process_allow_dumps(void)
{
    g_atomic_int_set(&dumps_allowed, TRUE);
}
