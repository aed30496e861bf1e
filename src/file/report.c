/* SPDX-License-Identifier: MIT
 *
 * report.c - reports of calls on files.
 */
#include "base/check.h"
#include "base/sized.h"
#include "file/file_internal.h"
#include "os/os.h"

#include <stdio.h>

SIZED_FORM(file_report_form, jdb_file_report, 388, 416);

const char *jdb_file_mode_name(uint32_t mode)
{
    static const char *const names[] = {"?", "direct", "unknown", "uncached", "buffered"};
    return names[mode < sizeof names / sizeof names[0] ? mode : 0];
}

int jdb__file_check_report(const jdb_file_report *report)
{
    return report != NULL ? jdb__sized_check(&file_report_form, report) : 0;
}

void jdb__file_write_report(const jdb_file_report *filled, jdb_file_report *ret_report)
{
    JDB_ASSERT(filled->done_size == filled->direct_size + filled->buffered_size); /* I4 */
    JDB_ASSERT(filled->copied_size <= filled->direct_size);                       /* I4 */
    if (ret_report != NULL)
        (void)jdb__sized_write(&file_report_form, filled, ret_report);
}

int jdb__file_report_failure(jdb_file_report *report, const char *call, int err)
{
    char words[64];
    JDB_ASSERT(err < 0);
    report->call = call;
    report->err = err;
    snprintf(report->text, sizeof report->text, "%s failed: %s", call, jdb__os_error_text(err, words, sizeof words));
    return err;
}
